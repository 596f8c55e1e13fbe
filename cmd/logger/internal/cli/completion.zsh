#compdef logger
# Completion of logger for zsh: source <(logger completion zsh), after compinit
_logger() {
	local -a described
	local line word about
	while IFS= read -r line; do
		word=${line%%$'\t'*} about=${line#*$'\t'}
		if [[ $word == :file ]]; then
			_files
			return
		fi
		described+=("${word//:/\\:}${about:+:$about}")
	done < <("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
	[[ $PREFIX == --*=* ]] && compset -P '*='
	_describe logger described
}
if [[ $funcstack[1] == _logger ]]; then
	_logger "$@"
else
	compdef _logger logger
fi
