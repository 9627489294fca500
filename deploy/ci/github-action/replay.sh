#!/usr/bin/env bash
# One run in a job of GitHub Actions: import what is named, replay and compare, tell the job what came of it.
set -euo pipefail

case "$INCONCLUSIVE" in
  fail | pass) ;;
  *) echo "inconclusive is \`$INCONCLUSIVE\`; it is fail or pass" >&2; exit 2 ;;
esac
mkdir -p "$RESULTS"
rm -f "$RESULTS"/{result.json,verdict.xml,verdict.sarif,comment.md,verdict.html}

# The runner obeys lines that begin with `::`, and what was recorded may have some: until the token is said again it obeys none.
token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
echo "::stop-commands::$token"
trap 'echo "::$token::"' EXIT

files=()
while IFS= read -r line; do if [ -n "$line" ]; then files+=("$line"); fi; done <<<"$IMPORT"
if [ ${#files[@]} -gt 0 ]; then echolane import --service "$SERVICE" -- "${files[@]}"; fi

words=(--service="$SERVICE")
if [ -n "$BASE_CMD" ]; then words+=(--base-cmd="$BASE_CMD"); fi
if [ -n "$BRANCH_CMD" ]; then words+=(--branch-cmd="$BRANCH_CMD"); fi
if [ -n "$BASE" ]; then words+=(--base="$BASE"); fi
if [ -n "$BRANCH" ]; then words+=(--branch="$BRANCH"); fi
if [ -n "$BRANCH_NAME" ]; then words+=(--branch-name="$BRANCH_NAME"); fi
while IFS= read -r line; do if [ -n "$line" ]; then words+=("$line"); fi; done <<<"$FLAGS"

code=0
echolane run "${words[@]}" --json "$RESULTS/result.json" --junit "$RESULTS/verdict.xml" --sarif "$RESULTS/verdict.sarif" \
  --markdown "$RESULTS/comment.md" --html "$RESULTS/verdict.html" || code=$?

verdict=""
if [ -f "$RESULTS/result.json" ]; then
  case "$code" in 0) verdict=pass ;; 1) verdict=fail ;; *) verdict=inconclusive ;; esac
  cat "$RESULTS/comment.md" >>"$GITHUB_STEP_SUMMARY"
fi
{ echo "verdict=$verdict"; echo "exit-code=$code"; } >>"$GITHUB_OUTPUT"
if [ "$code" = 3 ] && [ "$INCONCLUSIVE" = pass ]; then code=0; fi
exit "$code"
