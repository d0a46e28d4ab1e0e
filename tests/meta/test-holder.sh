#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The holder with a fake worker, in a mount namespace of its own. Prints "ok" and "not ok" lines; exit code 1 on a failure, 77
# where FUSE mounts are not possible. Usage: tests/meta/test-holder.sh [HOLDER]
root=$(realpath "$(dirname "$0")/../..")
holder=$(realpath "${1:-$root/build/secretfs-holder}")
if [ -z "$SFS_TEST_HOLDER_INSIDE" ]; then
	[ "$(id -u)" = 0 ] && [ -w /dev/fuse ] || { echo "skip: needs root and /dev/fuse"; exit 77; }
	[ -x "$holder" ] || { echo "not ok - $holder is not built"; exit 1; }
	export SFS_TEST_HOLDER_INSIDE=1
	exec unshare -m --propagation private "$0" "$holder"
fi

ulimit -S -l 64 # so that raising it shows, whatever the hard limit
T=$(mktemp -d /tmp/sfs-holder.XXXXXX)
chmod 755 "$T"
M=$T/mnt
bad=0
started=()

clean() {
	for p in "${started[@]}"; do kill -9 "$p" 2>/dev/null; done
	for _ in 1 2 3 4; do umount -l "$M" 2>/dev/null; done
	rm -rf "$T"
}
trap clean EXIT

ok() { # NAME COMMAND... : the command must succeed
	local name=$1
	shift
	if "$@"; then
		echo "ok - $name"
	else
		echo "not ok - $name"
		bad=1
		sed 's/^/# /' "$T/ready" "$T/log" "$T/err" 2>/dev/null | tail -n 40
	fi
}

await() { # COMMAND... : until it succeeds, 6 s at most
	for _ in $(seq 120); do
		"$@" && return 0
		sleep 0.05
	done
	return 1
}

not() { ! "$@"; }
lines() { grep -c " $M " /proc/self/mountinfo; }
mounted() { [ "$(lines)" = 1 ]; }
unmounted() { [ "$(lines)" = 0 ]; }
answered() { [ -s "$T/ready" ]; }
said() { grep -qE -- "$1" "$T/ready"; }
logged() { grep -qE -- "$1" "$T/log"; }
wrote() { grep -qE -- "$1" "$T/err"; }
running() { [ -d "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }
spawner_other_than() { local p; p=$(pgrep -P "$1" -x sfs-spawner) && [ "$p" != "$2" ]; }
worker_of() { pgrep -P "$1" -x fake | head -1; }
renamer_of() { pgrep -P "$1" -x sfs-renamer | head -1; }
finished() { # PID CODE
	await not running "$1" || return 1
	wait "$1"
	[ $? = "$2" ]
}

# start MODE [HOLDER OPTION...] -- [WORKER ARGUMENT...]; sets H and W, waits for the word on ready-fd.
start() {
	local mode=$1 opts=()
	shift
	while [ "$1" != -- ]; do opts+=("$1"); shift; done
	shift
	: >"$T/ready"; : >"$T/log"; : >"$T/err"
	"$holder" --mountpoint="$M" --source=file:/x --user=65534:65534 --ready-fd=9 --log="$T/log" "${opts[@]}" -- \
		"$T/fake" "$mode" "$@" "$M" 9>"$T/ready" 2>"$T/err" &
	H=$!
	started+=("$H")
	await answered || echo "# no answer"
	W=$(worker_of "$H")
	[ -n "$W" ] && started+=("$W")
}

stop() { # the usual end
	kill -TERM "$H"
	finished "$H" 0
	rm -rf "$M" 2>/dev/null
	return 0
}

mkdir "$T/allowed" "$T/other"
base=$root/src/base
"${CC:-cc}" -std=c17 -D_GNU_SOURCE -I"$root/src" -o "$T/fake" "$root/tests/meta/fake_worker.c" "$base"/{hold,renmsg,alloc,err,text,buf,secret,arena,log,clock}.c -lcrypto -lpthread ||
	{ echo "not ok - the fake worker does not compile"; exit 1; }

# ---- a mount and its end ----

start live --memlock=4194304 --
ok "ready-fd says OK" said '^OK$'
ok "one mount" mounted
ok "flags of the mount" grep -qE " $M .*nosuid,nodev,noexec.* - fuse.secretfs file:/x .*default_permissions,allow_other" /proc/self/mountinfo
ok "umount(8) by somebody else works" umount "$M"
ok "and the holder ends with 0" finished "$H" 0
ok "the missing mount point was made 0755" [ "$(stat -c %a "$M")" = 755 ]

device_line='^last [0-9]+:[0-9]+$'
start live --memlock=4194304 --
ok "R12 user and group" logged 'status Uid:.65534.65534.65534.65534'
ok "R12 group" logged 'status Gid:.65534.65534.65534.65534'
ok "R12 no supplementary groups" logged 'status Groups:[[:space:]]*$'
ok "R12 no capability in any set" [ "$(grep -c '^status Cap.*0000000000000000$' "$T/log")" = 5 ]
ok "R12 no_new_privs" logged 'status NoNewPrivs:.1'
ok "R8 descriptor 0" logged '^fd 0 /dev/null'
ok "R8 descriptors 1 and 2 are the log" [ "$(grep -cE "^fd [12] $T/log" "$T/log")" = 2 ]
ok "R8 descriptor 3 is FUSE" logged '^fd 3 /dev/fuse'
ok "R8 descriptor 4 is a socket" logged '^fd 4 socket:'
ok "R8 descriptor 5 is the covered directory" logged "^fd 5 $M"
ok "R8 nothing else is inherited" [ "$(grep -c '^fd ' "$T/log")" = 7 ]
ok "environment of the worker" [ "$(grep '^env ' "$T/log" | cut -d= -f1 | sort | tr '\n' ' ')" = "env LANG env PATH " ]
ok "signals of the worker are as new" logged 'blocked 0 pipe default'
ok "last argument is the device" logged "$device_line"
ok "it is that of mountinfo" logged "^last $(awk -v m="$M" '$5 == m { print $3 }' /proc/self/mountinfo)\$"
ok "memlock was raised" logged '^memlock 4194304'
ok "R12 the holder links no network library" not grep -qE 'curl|fuse3' <(ldd "$holder")
ok "R6 the holder dumps no core" grep -qE 'Max core file size +0 +0' "/proc/$H/limits"
ok "stat of the mount is answered" timeout 5 stat -c "# mode %a" "$M"
kill -HUP "$H"
ok "SIGHUP reaches the worker as RELOAD" await logged '^order 8'
kill -TERM "$H"
ok "SIGTERM: exit code 0" finished "$H" 0
ok "no mount is left" unmounted
ok "the worker has ended" not running "$W"
ok "the worker was told to stop, or saw the end itself" not logged 'killed'

ok "ready-fd tells nobody twice" [ "$(wc -l <"$T/ready")" = 1 ]

# ---- what is refused ----

mkdir -p "$M"; touch "$M/a" "$M/b" "$M/$(printf 'c\033x')" "$M/d"
start live --
ok "not empty: ENOTEMPTY" said '^E 39 .* is not empty'
ok "it shows three names, escaped, and says that there are more" said 'hide (.*, ){2}.* and more: '
ok "no byte of a terminal sequence" not grep -q $'\033' "$T/ready"
ok "refusal: exit code 1" finished "$H" 1
start live --nonempty --
ok "nonempty" said '^OK$'
stop
rm -rf "$M"; touch "$M"
start live --
ok "a file as mount point: ENOTDIR" said '^E 20 '
rm -f "$M"; mkdir "$M"
mount -t tmpfs tmpfs "$M"; touch "$M/data"
start live --nonempty --
ok "R19 a foreign mount is refused with its type" said '^E 16 .*tmpfs'
ok "R19 its data is untouched" [ -e "$M/data" ]
umount "$M"
start live --
first=$H
start live --
ok "a living mount of ours is refused with source and process" said "^E 16 .*mounted already: file:/x, process $first"
ok "R19 it stays alone" mounted
H=$first
stop
: >"$T/ready"
"$holder" --mountpoint="$M" --source=s --user=65534:65534 --ready-fd=9 --log="$M/log" -- "$T/fake" live "$M" 9>"$T/ready"
ok "R23 a log file below the mount point is refused" said '^E 22 .*below the mount point'
"$holder" --mountpoint="$M" --source=s --user=x --ready-fd=9 -- "$T/fake" live "$M" 9>"$T/ready"
ok "a bad command line is refused" said '^E 22 .*--user'
"$holder" --mountpoint=/ --source=s --user=0:0 --ready-fd=9 -- "$T/fake" live / 9>"$T/ready"
ok "the root directory is refused" said '^E 22 '

# ---- dead mounts ----

mkdir -p "$M"
start live --
kill -9 "$H" "$W"
wait "$H" 2>/dev/null
await not running "$W"
ok "holder and worker killed: the mount is dead" not stat "$M" 2>/dev/null
start live --
ok "R19 a dead mount is detached" said '^OK$'
ok "R19 and not stacked upon" mounted
stop
mkdir -p "$M"
"$T/fake" stack 3 "$M"
ok "three dead mounts" [ "$(lines)" = 3 ]
start live --
ok "R19 all of them are detached" said '^OK$'
ok "R19 one mount" mounted
stop

# ---- the worker does not start ----

mkdir -p "$M"
start fail --
ok "HOLD_FAILED reaches ready-fd in one line" said '^E 13 no such\?luck$'
ok "failed: exit code 1" finished "$H" 1
ok "failed: no mount" unmounted
start die --
ok "death before live is told" said '^E 5 the worker ended with exit code 3 before'
ok "died: exit code 1" finished "$H" 1
ok "died: no mount" unmounted
start crash --
ok "a signal is named" said '^E 5 the worker was killed by signal 9 \(KILL\)'
finished "$H" 1
ok "crashed: no mount" unmounted
: >"$T/ready"
"$holder" --mountpoint="$M" --source=s --user=65534:65534 --ready-fd=9 -- /nonexistent/worker "$M" 9>"$T/ready"
ok "a worker that is not there" said '^E 2 execute /nonexistent/worker as user 65534'
ok "not there: no mount" unmounted
"$holder" --mountpoint="$M" --source=s --user=65534:65534 -- "$T/fake" fail "$M" >/dev/null 2>"$T/err"
ok "without ready-fd the sentence goes to stderr" wrote '^secretfs: no such\?luck$'
ok "and only once" [ "$(grep -c luck "$T/err")" = 1 ]
mkfifo "$T/pipe"
"$holder" --mountpoint="$M" --source=s --user=65534:65534 --ready-fd=9 --log="$T/log" -- "$T/fake" hang "$M" 9>"$T/pipe" &
H=$!
exec 8<"$T/pipe"
await mounted
exec 8<&-
ok "the caller goes before it is live: taken away" finished "$H" 1
ok "no mount is left behind him" unmounted
start_hang() {
	: >"$T/ready"
	"$holder" --mountpoint="$M" --source=s --user=65534:65534 --ready-fd=9 --log="$T/log" -- "$T/fake" hang "$M" 9>"$T/ready" &
	H=$!
	await mounted
}
start_hang
kill -TERM "$H"
ok "SIGTERM while it starts" finished "$H" 1
ok "is told" said '^E 4 .*interrupted'
ok "nothing is left" unmounted

# ---- the worker ends ----

mkdir -p "$M"
start live --
kill -9 "$W"
ok "worker killed: exit code 1" finished "$H" 1
ok "the log says how" logged "worker $W was killed by signal 9 \(KILL\); the mount $M was detached"
ok "no dead mount" unmounted
start live --
mount -t tmpfs top "$M"; touch "$M/foreign"
kill -9 "$W"
ok "a mount on top of ours: exit code 1" finished "$H" 1
ok "it is not detached by mistake" [ -e "$M/foreign" ]
ok "the log says so" logged 'another mount \(tmpfs\) lies on top'
umount "$M"; umount -l "$M"
start stubborn --
kill -TERM "$H"
ok "a worker that does not end is killed; exit code 0" finished "$H" 0
ok "the log says so" logged 'does not end: killed'
ok "it is gone" not running "$W"
start flood --
kill -TERM "$H"
ok "a worker that floods its socket cannot stop the holder" finished "$H" 0

# ---- in use ----

start live --
(cd "$M" && exec sleep 60) &
S=$!
started+=("$S")
exec 7<"$M"
await [ "$(readlink /proc/$S/cwd)" = "$M" ]
kill -STOP "$W"
kill -TERM "$H"
ok "in use, worker stopped: exit code 0" finished "$H" 0
ok "R30 who had it as working directory" logged "process $S \(sleep\): cwd $M"
ok "R30 who had it open" logged "process $$ \(.*\): fd 7 $M"
ok "the name is free" unmounted
exec 7<&-
kill "$S"

# ---- what is opened for the worker ----

echo secret >"$T/allowed/file"; chmod 600 "$T/allowed/file"
echo no >"$T/other/file"
chmod 700 "$T/allowed" "$T/other"
ln -s "$T/other/file" "$T/allowed/out"
ln -s file "$T/allowed/in"
mkfifo "$T/allowed/fifo"
mkdir -p "$M"; echo covered >"$M/inner"; chmod 600 "$M/inner"; chmod 700 "$M"
A=$T/allowed
FOO_A=1 FOO_B="two words" BAR=3 CANARY_ENV=x start live --nonempty --allow="$A/" --allow="$M" '--env=FOO_*' --env=CANARY_ENV -- \
	"ask:file:$A/file" "ask:file:$A/in" "ask:file:$A/out" "ask:file:$T/other/file" "ask:file:$A/../other/file" \
	"ask:file:${A}x" "ask:file:$A/none" "ask:file:$A/fifo" "ask:file:$A" "ask:dir:$A" "ask:dir:$A/file" "ask:watch:$A" \
	"ask:bits:$A" "ask:file:relative" "ask:file:$M/inner" "ask:env:"
refused='code 13 text .*outside the directories fixed at mount; remount to add it'
ok "an allowed file, with its canonical path" logged "ask:file:$A/file code 0 text $A/file read secret"
ok "a link within" logged "ask:file:$A/in code 0 text $A/file read secret"
ok "a link that leads out" logged "ask:file:$A/out $refused"
ok "outside" logged "ask:file:$T/other/file $refused"
ok "outside by dots" logged "ask:file:$A/../other/file $refused"
ok "a name that only starts alike" logged "ask:file:${A}x $refused"
ok "missing" logged "ask:file:$A/none code 2 "
ok "a fifo" logged "ask:file:$A/fifo code 13 text .*it is a fifo"
ok "a directory as file" logged "ask:file:$A code 21 "
ok "a directory" logged "ask:dir:$A code 0 "
ok "a file as directory" logged "ask:dir:$A/file code 20 "
ok "a watch" logged "ask:watch:$A code 0 "
ok "a mask with unknown bits" logged "ask:bits:$A code 22 "
ok "a relative path" logged "ask:file:relative $refused"
ok "R23 a path below the mount is the covered one" logged "ask:file:$M/inner code 0 text $M/inner read covered"
ok "the variables taken at mount" logged 'ask:env: code 0 text  read =FOO_\*\|=CANARY_ENV\|CANARY_ENV=x\|FOO_A=1\|FOO_B=two words\|'
ok "all are for reading only" not logged '^writable'
ok "R11 /proc/PID/environ of the holder shows none" not grep -qaE 'FOO|CANARY|BAR|HOME' "/proc/$H/environ"
stop

# ---- commands and descriptors ----

mkdir -p "$M"
start live --command=$'/bin/sh -c "exit 7"\n/' --command=$'/no/such\n' -- ask:run:0 ask:run:1 ask:run:2 ask:run:4294967295
ok "a command: two pipes and its exit status" logged 'run ask:run:0 end 7 code 0 fd no'
ok "what it writes to goes to the worker" [ "$(grep -cE '^run ask:run:0 pipe [12] code 0 fd yes' "$T/log")" = 2 ]
ok "one that is not there" logged 'run ask:run:1 end .* code 2 fd no text execute the program as user 65534'
ok "a number that is none" logged 'answer ask:run:2 code 2 text .*not fixed at mount'
ok "whatever the number" logged 'answer ask:run:4294967295 code 2 '
ok "R12 the runner is the worker's user" grep -q '^Uid:.65534.65534.65534.65534' "/proc/$(pgrep -P "$H" -x sfs-runner)/status"
ok "R12 without capabilities" [ "$(grep -c '^Cap.*0000000000000000$' "/proc/$(pgrep -P "$H" -x sfs-runner)/status")" = 5 ]
ok "R6 and undumpable" [ "$(stat -c %u "/proc/$(pgrep -P "$H" -x sfs-runner)/environ")" = 0 ]
stop
ok "it ends with the holder" not pgrep -P "$H" -x sfs-runner
mkdir -p "$M"
start live -- ask:run:0
ok "no commands, no runner" logged 'answer ask:run:0 code 2 '
stop
start live --command="'x" --
ok "a malformed command is refused" said '^E 22 '
finished "$H" 1
mkdir -p "$M"
printf 'of the descriptor\n' >"$T/fd"
exec 7<"$T/fd"
start live --fd=7:3 -- ask:env:
exec 7<&-
ok "what a descriptor gave is kept" logged 'ask:env: code 0 text  read fd:3=of the descriptor\|'
ok "R8 and the descriptor is not inherited" [ "$(grep -c '^fd ' "$T/log")" = 7 ]
ok "nor kept" not grep -q "$T/fd" <(ls -l "/proc/$H/fd")
stop
start live --fd=7:3 --
ok "one that is not open is refused" said '^E 22 '
finished "$H" 1

# ---- audit ----

mkdir -p "$M"
mkdir "$T/audit"
setpriv --reuid 1000 --regid 1000 --clear-groups sleep 60 &
S=$!
started+=("$S")
await grep -q '^sleep' "/proc/$S/comm"
start live --audit="$T/audit/log" -- ask:xpid:self "ask:xpid:$S" ask:xpid:0 ask:xpid:4294967295 ask:xpid:2147483647 "ask:audit:"
ok "the executable of a process" logged "ask:xpid:self code 0 text $T/fake read"
ok "that of another user's process" logged "ask:xpid:$S code 0 text $(readlink "/proc/$S/exe") read"
ok "no process: EINVAL" logged 'ask:xpid:0 code 22 '
ok "not a process id: EINVAL" logged 'ask:xpid:4294967295 code 22 '
ok "a process that is not there: ENOENT" logged 'ask:xpid:2147483647 code 2 '
ok "the audit file is handed out" logged 'ask:audit: code 0 '
ok "for appending" logged '^writable ask:audit:'
kill "$S"
ok "it was made with mode 0600" [ "$(stat -c '%a %u' "$T/audit/log")" = "600 0" ]
stop
mkdir -p "$M"
start live -- "ask:audit:" "ask:audit:/etc/passwd"
ok "no audit log: nothing is handed out" logged 'ask:audit: code 22 text this mount has no audit log read $'
ok "whatever the worker says" logged 'ask:audit:/etc/passwd code 22 '
stop
mkdir -p "$M"
ln -s "$T/other/file" "$T/audit/link"
mkfifo "$T/audit/fifo"
for what in "link:40" "fifo:6" "none/x:2" ":2"; do
	: >"$T/ready"
	"$holder" --mountpoint="$M" --source=s --user=65534:65534 --ready-fd=9 --audit="$T/audit/${what%:*}" -- "$T/fake" live "$M" 9>"$T/ready"
	ok "an audit log that cannot be: ${what}" said "^E ${what##*:} "
done
ln -s "$M" "$T/audit/way"
for at in "$M/log" "$T/audit/way/log" "$M/../mnt/log"; do
	: >"$T/ready"
	"$holder" --mountpoint="$M" --source=s --user=65534:65534 --ready-fd=9 --audit="$at" -- "$T/fake" live "$M" 9>"$T/ready"
	ok "R23 an audit file below the mount point is refused: ${at#"$T"}" said '^E 22 .*below the mount point'
done
ok "R23 and not made" [ ! -e "$M/log" ]
"$holder" --mountpoint="$M" --source=s --user=65534:65534 --ready-fd=9 --audit=here -- "$T/fake" live "$M" 9>"$T/ready"
ok "a relative path is refused" said '^E 22 --audit=here'
ok "refused: no mount" unmounted

# ---- the renamer ----

field() { awk -v k="$2:" '$1 == k { print $2 }' "/proc/$1/status"; }
only_fds() { # PID NUMBER... : it has these descriptors and no other
	local p=$1
	shift
	[ "$(ls "/proc/$p/fd" | sort -n | tr '\n' ' ')" = "$* " ]
}
mkdir -p "$M"
start live -- ren:rename:fa:d/fb ren:unlink:d/fb ren:mkdir:new ren:rmdir:d ren:unlink:none ren:unlink:fa/x ren:hostile ren:unlink:fok
R=$(renamer_of "$H")
ok "R23 there is a renamer" [ -n "$R" ]
ok "the worker was told its process id" await logged "^hello 1 $R\$"
ok "a rename, asked for by the worker, is made by the renamer" await logged '^fuse rename fa fb by the renamer'
ok "all were answered" await [ "$(grep -c '^reply' "$T/log")" = 7 ]
ok "unlink" logged '^fuse unlink fb  by the renamer'
ok "mkdir" logged '^fuse mkdir new  by the renamer'
ok "rmdir, and its error" logged '^fuse rmdir d  by the renamer'
codes=$(sed -n 's/^reply 1 code //p' "$T/log" | tr '\n' ' ')
ok "the answers: $codes" [ "$codes" = "0 0 0 39 2 20 0 " ]
ok "rubbish, dots, absolute paths, another generation: nothing was done" not grep -qE 'fuse .*(passwd|fother)' "$T/log"
ok "R12 the renamer has one capability" [ "$(field "$R" CapEff) $(field "$R" CapPrm)" = "0000000000000002 0000000000000002" ]
ok "R12 and can get no other" [ "$(field "$R" CapBnd)$(field "$R" CapInh)$(field "$R" CapAmb)" = 000000000000000000000000000000000000000000000000 ]
ok "R12 no_new_privs" [ "$(field "$R" NoNewPrivs)" = 1 ]
ok "R8 four descriptors" only_fds "$R" 0 1 2 3
ok "R8 and what they are" [ "$(readlink "/proc/$R/fd/0" "/proc/$R/fd/1" "/proc/$R/fd/2" | tr '\n' ' ')" = "/dev/null $T/log $T/log " ]
ok "R8 a socket" grep -q '^socket:' <(readlink "/proc/$R/fd/3")
ok "R11 no environment" [ ! -s "/proc/$R/environ" ]
ok "R6 no core" grep -qE 'Max core file size +0 +0' "/proc/$R/limits"
setpriv --reuid 65534 --regid 65534 --clear-groups ls "/proc/$R/fd" >/dev/null 2>&1
ok "R6 not dumpable: /proc/PID/fd is closed to others" [ $? != 0 ]
kill -TERM "$R"; kill -INT "$R"; kill -HUP "$R"
ok "signals to a whole group do not end it" running "$R"
kill -9 "$R"
ok "killed: the worker hears it" await logged '^gone 1 code 0'
ok "and of the next one" await logged '^hello 2 '
R2=$(renamer_of "$H")
ok "which is another process" [ -n "$R2" -a "$R2" != "$R" ]
ok "umount(8) is not kept out by it" umount "$M"
ok "the holder ends" finished "$H" 0
ok "the renamer too" await not running "$R2"
ok "said once that it was killed" [ "$(grep -c 'renamer .* was killed by signal 9' "$T/log")" = 1 ]

mkdir -p "$M"
CANARY_ENV=canary-of-the-renamer start live --env=CANARY_ENV --
R=$(renamer_of "$H")
gcore_of() { # what of the process can be read
	local line
	while read -r line; do
		dd if="/proc/$1/mem" bs=4096 skip=$((0x${line%%-*} / 4096)) count=$(((0x$(sed 's/.*-//;s/ .*//' <<<"$line") - 0x${line%%-*}) / 4096)) 2>/dev/null
	done < <(grep -E '^[0-9a-f]+-[0-9a-f]+ r' "/proc/$1/maps" | grep -v 'vvar\|vsyscall' | cut -d' ' -f1)
}
ok "the value is in the holder's memory" grep -qa canary-of-the-renamer <(gcore_of "$H")
ok "and not in the renamer's" not grep -qa canary-of-the-renamer <(gcore_of "$R")
kill -9 "$H"
wait "$H" 2>/dev/null
ok "the holder killed: no renamer stays" await not running "$R"
kill -9 "$W"; await not running "$W"; umount -l "$M"

# ---- a renamer that hangs in the mount ----

mkdir -p "$M"
start stall -- ren:rename:fa:fb
R=$(renamer_of "$H")
ok "R23 it hangs in its RENAME" await logged '^fuse rename'
kill -9 "$W"
ok "R23 the worker killed meanwhile: all have ended within a second" timeout 1 bash -c "while [ -d /proc/$H -o -d /proc/$W -o -d /proc/$R ] && ! grep -q '^State:.Z' /proc/$H/status; do sleep 0.02; done"
ok "R23 exit code 1" finished "$H" 1
ok "R23 no unkillable process" not running "$R"
ok "R23 no dead mount" unmounted
mkdir -p "$M"
start stall -- ren:rename:fa:fb
R=$(renamer_of "$H")
await logged '^fuse rename'
kill -TERM "$H"
ok "SIGTERM while it hangs: exit code 0" finished "$H" 0
ok "the mount has gone" unmounted
ok "and the renamer" await not running "$R"
mkdir -p "$M"
start slow -- ren:rename:fa:fb ren:unlink:fc
ok "given up: killed, but the kernel keeps it until it is answered" await logged '^stuck still there'
ok "then its end is told" await logged '^gone 1 code 0'
ok "and the next one works" await logged '^fuse unlink fc  by the renamer'
ok "the log says that it was replaced" logged 'the renamer \(process [0-9]+\) did not answer in time and is replaced'
stop
mkdir -p "$M" "$T/moved"
start live -- ren:unlink:fa ren:wait:x ren:unlink:fb ren:wait:x ren:unlink:fc ren:wait:x ren:unlink:d/fd
await logged '^reply 1 code 0'
mount -t tmpfs tmpfs "$M"; touch "$M/fb"
kill -9 "$(renamer_of "$H")"
ok "a mount on top of ours: nothing is touched" await logged '^reply 2 code 116'
ok "not the file of the other mount either" [ -e "$M/fb" ]
umount "$M"
mount --move "$M" "$T/moved"
kill -9 "$(renamer_of "$H")"
ok "a mount that was moved is found" await logged '^fuse unlink fc  by the renamer'
mount --move "$T/moved" "$M"
mkdir -p "$T/lower"; touch "$T/lower/fd"
mount --bind "$T/lower" "$M/d"
kill -9 "$(renamer_of "$H")"
ok "what is mounted below is not entered" await logged '^reply 4 code 18'
ok "and its file is still there" [ -e "$T/lower/fd" ]
umount "$M/d"
stop
mkdir -p "$M"
: >"$T/log2"
setpriv --bounding-set=-dac_override --inh-caps=-dac_override "$holder" --mountpoint="$M" --source=s --user=65534:65534 --ready-fd=9 --log="$T/log2" -- \
	"$T/fake" live "$M" 9>"$T/ready" &
H=$!
started+=("$H")
await grep -q '^gone' "$T/log2"
ok "without CAP_DAC_OVERRIDE it says so and is not tried again" grep -q '^gone 1 code 1' "$T/log2"
ok "with the reason in the log" grep -q 'the renamer cannot run: keep dac_override' "$T/log2"
kill -TERM "$H"; finished "$H" 0

# ---- the spawner ----

mkdir -p "$M"
start live --on-change="cat >> $T/told; echo run >> $T/told" --on-change-delay=0 -- tell:0:'created a b|rotated d/ü|' tell:0:'created ../x|' \
	tell:0:'run rm|' tell:0:'created a' tell:0:'rotated c@[31m|' tell:1:'created other|' tell:-1:'created other|' tell:0:'created /etc|' tell:0:'changed **|'
S=$(pgrep -P "$H" -x sfs-spawner)
ok "the command is told, and nothing illegal" await [ "$(cat "$T/told" 2>/dev/null)" = "$(printf 'created a b\nrotated d/ü\nrun')" ]
ok "what is no change is refused" await logged 'on_change: the worker sent something else than changes'
ok "and another number than those fixed at mount" logged 'a command that was not fixed at mount \(number 1\)'
ok "R12 the spawner of root keeps CAP_KILL alone" [ "$(field "$S" CapEff) $(field "$S" CapPrm)" = "0000000000000020 0000000000000020" ]
ok "R8 its descriptors" only_fds "$S" 0 1 2 3 4
ok "R8 no FUSE among them" not grep -q fuse <(ls -l "/proc/$S/fd")
ok "R11 no environment" [ ! -s "/proc/$S/environ" ]
kill -9 "$S"
ok "it is started again" await spawner_other_than "$H" "$S"
ok "and the command told that something may be lost" await grep -q '^changed \*' "$T/told"
S=$(pgrep -P "$H" -x sfs-spawner)
stop
ok "it ends with the holder" not running "$S"
: >"$T/ready"
"$holder" --mountpoint="$M" --source=s --user=65534:65534 --ready-fd=9 --on-change= -- "$T/fake" live "$M" 9>"$T/ready"
ok "an empty command is refused" said '^E 22 --on-change'
for word in renamer spawner; do
	"$holder" "$word" 1 stderr "$M" 0:0 1 1 2>"$T/err"
	ok "the $word is not started by hand" wrote "started by 'secretfs mount', not by hand"
done

# ---- surroundings ----

mkdir -p "$M"
(ulimit -n 32; start live --; echo "$H" >"$T/pid")
H=$(cat "$T/pid")
ok "R35 32 descriptors are enough" said '^OK$'
kill -TERM "$H"; await unmounted
(mount -t tmpfs dev /dev; mknod /dev/null c 1 3; chmod 666 /dev/null
 "$holder" --mountpoint="$M" --source=s --user=0:0 --ready-fd=9 -- "$T/fake" live "$M" 9>"$T/ready" 2>/dev/null </dev/null
 umount -l /dev)
ok "no /dev/fuse: what to do" said '^E 2 .*modprobe fuse.*--device /dev/fuse'
setpriv --reuid 65534 --regid 65534 --clear-groups "$holder" --mountpoint="$T/other2" --source=s --user=65534:65534 --ready-fd=9 -- \
	"$T/fake" live "$M" 9>"$T/ready"
ok "not root: a clear refusal" said '^E (1|13) '
start live --user=0:0 --
ok "the caller root keeps uid 0" logged 'status Uid:.0.0.0.0'
ok "without capabilities" [ "$(grep -c '^status Cap.*0000000000000000$' "$T/log")" = 5 ]
stop
exit $bad
