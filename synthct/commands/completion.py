"""Completion of commands and options in bash."""

from __future__ import annotations

from collections.abc import Iterable

_BASH = """\
# bash completion of synthct: source <(synthct completion bash)
_synthct() {
    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[0]##*/}
    COMPREPLY=()
    if [ "$command" = synthct ]; then
        if [ "$COMP_CWORD" = 1 ]; then
            COMPREPLY=($(compgen -W "@COMMANDS@ completion --help --version" -- "$word"))
            return
        fi
        [ "${COMP_WORDS[1]}" = completion ] && { COMPREPLY=($(compgen -W bash -- "$word")); return; }
        command=synthct_${COMP_WORDS[1]}
    fi
    case $word in
        -*) COMPREPLY=($(compgen -W "$("$command" --help 2> /dev/null |
                grep -oE '(^|[[:space:],[])--?[A-Za-z_]+' | grep -oE -e '--?[A-Za-z_]+' | sort -u)" -- "$word")) ;;
    esac
}
complete -o default -F _synthct synthct @SCRIPTS@
"""


def bash_completion(commands: Iterable[str]) -> str:
    """A script for bash: commands after ``synthct``, options after ``-`` (asked of ``--help``), files elsewhere.

    Args:
        commands: their names, without ``synthct_``.
    """
    names = list(commands)
    scripts = " ".join(f"synthct_{name}" for name in names)
    return _BASH.replace("@COMMANDS@", " ".join(names)).replace("@SCRIPTS@", scripts)
