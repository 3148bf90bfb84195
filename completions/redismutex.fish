# For fish: asks the command itself. Installed where fish looks (vendor_completions.d).
complete -c redismutex -a '(redismutex complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
