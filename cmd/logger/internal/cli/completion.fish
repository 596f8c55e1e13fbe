# Completion of logger for fish: logger completion fish >~/.config/fish/completions/logger.fish
function __logger_complete
	set -l words (commandline -opc) (commandline -ct)
	set -l candidates ($words[1] __complete $words[2..-1] 2>/dev/null)
	if string match -q ':file*' -- $candidates
		__fish_complete_path (commandline -ct)
		return
	end
	set -l flag (string match -r -- '^--[a-z-]+=' (commandline -ct))
	for candidate in $candidates
		echo "$flag"$candidate
	end
end
complete -c logger -f -a '(__logger_complete)'
