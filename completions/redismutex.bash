# For bash: asks the command itself. Installed where bash-completion looks.
_redismutex() {
  local word
  COMPREPLY=()
  while IFS=$'\t' read -r word _; do
    COMPREPLY+=("$(printf %q "$word")")  # a key may have anything in it
  done < <(redismutex complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _redismutex redismutex  # files where the command knows nothing
