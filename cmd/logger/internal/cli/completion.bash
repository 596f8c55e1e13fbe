# Completion of logger for bash: source <(logger completion bash)
_logger_complete() {
	local cur=${COMP_WORDS[COMP_CWORD]} line
	COMPREPLY=()
	while IFS= read -r line; do
		if [[ $line == :file* ]]; then
			while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "${cur#=}")
			compopt -o filenames 2>/dev/null || true
			return
		fi
		COMPREPLY+=("${line%%$'\t'*}")
	done < <("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _logger_complete logger
