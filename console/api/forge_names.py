"""The forges by name, and who is none of them."""

from __future__ import annotations

GENERIC, GITHUB, GITLAB, GITEA = "generic", "github", "gitlab", "gitea"
