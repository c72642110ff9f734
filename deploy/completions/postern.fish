# Completes postern in fish. Packages install it in /usr/share/fish/vendor_completions.d.

function __postern_complete
    set -l words (commandline -opc) (commandline -ct)
    postern complete -- $words[2..] 2>/dev/null
    or __fish_complete_path $words[-1]
end

complete -c postern -f -k -a '(__postern_complete)'
