"""Scripts of completion for bash, zsh and fish, of the commands that :mod:`console.command_line` reads off the parsers.

A script holds all that it knows, so that no key waits for Python to start. Each shell reads a new one when it starts.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence

from console.command_line import Argument, Command

BASH = r"""# Completion of echolane for bash; made by `echolane completion bash`.
_echolane() {
    local command= flag= place=0 word=${COMP_WORDS[COMP_CWORD]} flags= words= paths= i line
    for ((i = 1; i < COMP_CWORD; i++)); do
        # bash cuts words at = and :, so that `--flag=value` is three words and `HOST:PORT` too.
        case ${COMP_WORDS[i]} in
        =) continue ;;
        :*)
            ((i++))
            continue
            ;;
        esac
        if [[ -n $flag ]]; then
            flag=
        elif [[ ${COMP_WORDS[i]} == -* ]]; then
            case $command:${COMP_WORDS[i]} in
            @TAKES@) flag=${COMP_WORDS[i]} ;;
            esac
        elif [[ -z $command ]]; then
            command=${COMP_WORDS[i]}
        else
            ((place++))
        fi
    done
    COMPREPLY=()
    [[ $word == :* || ${COMP_WORDS[COMP_CWORD - 1]} == :* ]] && return
    [[ $word == = ]] && word=
    if [[ -n $flag ]]; then
        case $command:$flag in
@VALUES@
        esac
    elif [[ $word == -* ]]; then
        case $command in
@FLAGS@
        esac
        words=$flags
    else
        case $command:$place in
@PLACES@
        esac
    fi
    case $paths in
    file) compopt -o filenames 2>/dev/null; set -- -f ;;
    folder) compopt -o filenames 2>/dev/null; set -- -d ;;
    *) set -- -W "$words" ;;
    esac
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <(compgen "$@" -- "$word")
}
complete -F _echolane echolane
"""
ZSH = r"""#compdef echolane
# Completion of echolane for zsh; made by `echolane completion zsh`.
_echolane() {
    local curcontext=$curcontext state line
    typeset -A opt_args
    local -a commands
    commands=(
@COMMANDS@
    )
    _arguments -C \
@BEFORE@
        '1: :->command' '*:: :->arguments' && return
    case $state in
    command) _describe -t commands command commands ;;
    arguments)
        case $line[1] in
@ARGUMENTS@
        esac
        ;;
    esac
}
if [[ $funcstack[1] == _echolane ]]; then
    _echolane "$@"
else
    compdef _echolane echolane
fi
"""
FISH = r"""# Completion of echolane for fish; made by `echolane completion fish`.
function __echolane_at --description 'whether a command is named, and how many words stand before this one'
    set -l words (commandline -opc)
    if test (count $argv) -gt 1; and test (count $words) -ne (math $argv[2] + 2)
        return 1
    end
    test "$words[2]" = "$argv[1]"
end
function __echolane_first --description 'whether no command is named yet'
    test (count (commandline -opc)) -eq 1
end
complete -c echolane -f
"""


def bash(commands: Sequence[Command], before: Sequence[Argument]) -> str:
    """The script for bash, from 3.2 on."""
    takes: list[str] = []
    values: list[str] = []
    places = [_case(":0", words=[one.name for one in commands])]
    for command in commands:
        for flag in command.flags:
            patterns = "|".join(f"{command.name}:{written}" for written in flag.flags)
            takes += [patterns] * bool(flag.value)
            values += [_case(patterns, flag.words, flag.path)] * bool(flag.words or flag.path)
        for number, place in enumerate(command.places):
            at = f"{command.name}:{'*' if place.many else number}"
            places += [_case(at, place.words, place.path)] * bool(place.words or place.path)
    flags = [_flags_case("''", before), *(_flags_case(one.name, one.flags) for one in commands)]
    parts = {
        "TAKES": "|".join(takes),
        "VALUES": "\n".join(values),
        "FLAGS": "\n".join(flags),
        "PLACES": "\n".join(places),
    }
    return _filled(BASH, parts)


def _case(pattern: str, words: Iterable[str], path: str = "") -> str:
    told = f"paths={path}" if path else f"words={shlex.quote(' '.join(words))}"
    return f"        {pattern}) {told} ;;"


def _flags_case(pattern: str, flags: Iterable[Argument]) -> str:
    return f"        {pattern}) flags='{' '.join(written for flag in flags for written in flag.flags)}' ;;"


def zsh(commands: Sequence[Command], before: Sequence[Argument]) -> str:
    """The script for zsh: to be sourced after compinit, or a file ``_echolane`` in a folder of ``fpath``."""
    named = [f"        {shlex.quote(f'{one.name}:{one.what}')}" for one in commands]
    cases: list[str] = []
    for command in commands:
        specs = [spec for flag in command.flags for spec in _zsh_flag(flag)]
        specs += [_zsh_place(number, place) for number, place in enumerate(command.places, 1)]
        told = " \\\n".join(f"                {shlex.quote(spec)}" for spec in specs)
        cases.append(f"        {command.name})\n            _arguments \\\n{told}\n            ;;")
    first = [f"        {shlex.quote(spec)} \\" for flag in before for spec in _zsh_flag(flag)]
    return _filled(ZSH, {"COMMANDS": "\n".join(named), "BEFORE": "\n".join(first), "ARGUMENTS": "\n".join(cases)})


def _zsh_flag(flag: Argument) -> Iterator[str]:
    what = re.sub(r"([\[\]\\])", r"\\\1", flag.what)
    for written in flag.flags:
        others = [other for other in flag.flags if other != written]
        again = "*" if flag.many else f"({' '.join(others)})" if others else ""
        yield f"{again}{written}{'=' if flag.value else ''}[{what}]" + (_zsh_value(flag) if flag.value else "")


def _zsh_place(number: int, place: Argument) -> str:
    return f"{'*' if place.many else number}{_zsh_value(place)}"


def _zsh_value(argument: Argument) -> str:
    action = {"file": "_files", "folder": "_files -/"}.get(argument.path, " ")
    words = f"({' '.join(argument.words)})" if argument.words else action
    value = argument.value.replace(":", r"\:")
    return f":{value}:{words}"


def fish(commands: Sequence[Command], before: Sequence[Argument]) -> str:
    """The script for fish."""
    lines = [_fish("__echolane_first", f"-a {one.name}", one.what) for one in commands]
    lines += [_fish("__echolane_first", _fish_flag(flag), flag.what) for flag in before]
    for command in commands:
        at = f"__echolane_at {command.name}"
        lines += [_fish(at, _fish_flag(flag), flag.what) for flag in command.flags]
        for number, place in enumerate(command.places):
            if value := _fish_value(place):
                lines.append(_fish(at if place.many else f"{at} {number}", value, ""))
    return FISH + "\n".join(lines) + "\n"


def _fish(condition: str, argument: str, what: str) -> str:
    return f"complete -c echolane -n {shlex.quote(condition)} {argument}" + (
        f" -d {_fish_quoted(what)}" if what else ""
    )


def _fish_quoted(text: str) -> str:
    """A text in single quotes, in which fish knows two escapes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _fish_flag(flag: Argument) -> str:
    written = " ".join(f"-l {one[2:]}" if one.startswith("--") else f"-s {one[1:]}" for one in flag.flags)
    return f"{written} {_fish_value(flag) or '-x'}" if flag.value else written


def _fish_value(argument: Argument) -> str:
    """What completes a value: fixed words, paths; empty for nothing."""
    if argument.words:
        return f"{'-x ' if argument.flags else ''}-a {_fish_quoted(' '.join(argument.words))}"
    if argument.path == "folder":
        return f"{'-x ' if argument.flags else ''}-a '(__fish_complete_directories)'"
    return ("-r -F" if argument.flags else "-F") if argument.path else ""


def _filled(script: str, parts: dict[str, str]) -> str:
    return re.sub(r"@([A-Z]+)@", lambda found: parts[found[1]], script)


SCRIPTS: dict[str, Callable[[Sequence[Command], Sequence[Argument]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
"""The shells there are scripts for."""
