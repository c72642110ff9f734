# Completes postern in bash 4.4 or later. Packages install it as /usr/share/bash-completion/completions/postern;
# without a package, source it from ~/.bashrc.

_postern() {
	local line=${COMP_LINE:0:COMP_POINT} words current found replies
	read -ra words <<<"$line"
	[[ $line == *[[:space:]] ]] && words+=("")
	if ! found=$(postern complete -- "${words[@]:1}" 2>/dev/null); then
		compopt -o default # a file name
		return
	fi
	[[ $found ]] || return
	# bash itself splits at = and :, and replaces what is behind them.
	current=${COMP_WORDS[COMP_CWORD]}
	[[ $current == [=:] ]] && current=
	mapfile -t replies <<<"$found"
	replies=("${replies[@]%%$'\t'*}")
	COMPREPLY=("${replies[@]#"${words[-1]%"$current"}"}")
}

complete -o nosort -F _postern postern
