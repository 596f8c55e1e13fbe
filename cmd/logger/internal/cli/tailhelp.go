package cli

const tailHelp = `Print the newest lines of an app's log; with -f, go on as they come.

usage: logger tail APP [APP...] [flags]
       logger tail --all [flags]

An APP is a name, or a pattern in which * stands for any characters. Several, up to 128, are shown
as one log.

examples:
  logger tail foo                        the newest 100 lines
  logger tail foo -f                     ... and then whatever comes
  logger tail foo -f -n 0 -p web         only new lines, only of the web processes
  logger tail foo --since 10m -i error   what said "error" in the last 10 minutes
  logger tail foo -f --level warn        warnings and what is worse
  logger tail foo -n -1 -o raw >all.log  all that is kept, messages alone
  logger tail foo -f -o json | jq -r 'select(.stream == "stderr").message'
  logger tail foo 'shop-*' -f            several apps as one; apps that begin later join
  logger tail foo -f --template '{{.Time.Format "15:04:05"}} {{.Suffix}} {{.Message}}'

which lines:
      --all                of all apps
  -f, --follow             go on with new lines as they come; Ctrl-C ends
  -n, --lines N            the newest N lines, after all filters (100; all with --since, --until
                           or --resume); -1 or all: all that are kept; 0: only new ones
      --tail N             the same
      --since TIME         lines since then: a duration back from now (90s, 10m, 2d, 1w; 0s: now)
                           or a time (2026-01-02T15:04:05Z; without an offset, your own)
      --since-time TIME    the same
      --until TIME         lines until then; -f ends then, if it is yet to come
      --resume CURSOR      lines after this place, as told when a tail ended; with -n the oldest N
      --limit-bytes N      end after at most so many bytes, between two characters

filters (each may be repeated, or list several by commas; any of them then passes):
  -p, --process TYPE       process type, such as web
      --pod NAME           pod
      --release RELEASE    release, such as v3
      --source SOURCE      app, or controller for what the platform says of the app
      --stream STREAM      stdout or stderr
      --level LEVEL        that level and above (not repeated): trace, debug, info, warn, error or
                           fatal; lines that state no level do not pass
  -i, --include REGEXP     only lines whose message matches; (?i) at its beginning ignores case
  -e, --exclude REGEXP     no lines whose message matches
  -A, --after-context N    also the N lines after each that --level, -i and -e choose (up to 100)
  -B, --before-context N   also the N lines before
  -C, --context N          both; -- stands where lines between two are left out
      --group              the lines of a stack trace are one line, also for -i, -e and --level

how they look:
  -o, --output FORMAT      default: app[process.release.pod]: message
                           pretty: as default, with the level, the text and the fields of
                           messages that are JSON or logfmt
                           raw: the message alone
                           json: one object per line, all that is known; gaps are objects too
                           logfmt: pairs of what is known, and of the fields of such messages
      --fields NAME,...    of messages that are JSON, these members alone, such as status,user.id
      --template TEMPLATE  Go template over .App .Time .Published .Source .Level .Process .Release
                           .Pod .Suffix .Container .Stream .Host .Message .CutBytes .Late .Cursor;
                           functions: json, color "red" TEXT, color .Level TEXT
  -t, --timestamps         each line's own time before it; with it, the default is what the
                           platform's own logs command shows
      --timezone ZONE      times are shown there: UTC, Local, or a name such as Europe/Berlin
      --prefix=false       leave out where a line comes from, as -o raw
  -H, --highlight REGEXP   mark what matches (may be repeated); by default and with -o raw
      --color WHEN         auto (on a terminal, unless NO_COLOR is set), always or never
      --max-width N        show at most so many columns of a line (2000 on a terminal, else all;
                           0: all)
      --raw                keep control sequences in messages. Without it none is printed but, where
                           there are colours, those that set them

connection:
      --server URL         where the logger is (LOGGER_URL; http://127.0.0.1:8088)
      --token-file FILE    file with a bearer token (LOGGER_TOKEN_FILE), read at each connection
      --no-reconnect       end where the connection ends, instead of going on where it ended
  -q, --quiet              no notices on stderr: gaps, reconnections, waiting; errors still show
  -h, --help               this

Lines go to stdout, all else to stderr.

exit codes:
  0    all was printed, or who reads the output has read enough (| head)
  1    an error                    2    a mistake in the command
  3    no such app yet             4    the logger is not ready, cannot be reached, or was lost
                                        under --no-reconnect
  130  Ctrl-C (128 and the number of the signal)

if you know another program:
  kubectl logs   -f, --tail, --since, --since-time, --timestamps, --prefix and --limit-bytes are
                 the same; -c, --container is --process; -p, --previous is not needed: lines of
                 pods that ended are kept; -l, --selector is --process, --release or --pod
  docker logs    -f, -n, --tail, --since, --until and -t are the same
  heroku logs    -n, --num is -n; -t, --tail is -f; -d, --dyno and -p, --ps are --process
  stern          -i, -e, -H, -o, -t, --tail, --since, --template and --color are the same;
                 it follows by itself, this with -f
`
