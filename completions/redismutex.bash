# For bash: asks the command itself. Installed where bash-completion looks.
_redismutex() {
  mapfile -t COMPREPLY < <(redismutex complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f 1)
}
complete -o default -F _redismutex redismutex  # files where the command knows nothing
