# SPDX-License-Identifier: Apache-2.0
# bash completion of secretfs and mount.secretfs, made from the tables of the program (./dev docs)

_secretfs_options()
{
	local options
options='ttl= stale= negative_ttl= list_ttl= timeout= open_rate= cache_size= arena= memlock= uid= gid= mode= dmode= user= wait= nonempty hydrate lazy debug log= audit= audit_required on_change= on_change_delay= on_change_timeout= type= location= at= prefix= add_prefix= names= endpoint= cacert= proxy= insecure_http rate= home= env. format= expand region= profile= access_key_id= secret_access_key= session_token= role_arn= role_session_name= external_id= source_identity= role_duration= fips dualstack sts_endpoint= imds_v1 filter= deleted region= profile= access_key_id= secret_access_key= session_token= role_arn= role_session_name= external_id= source_identity= role_duration= fips dualstack sts_endpoint= imds_v1 filter= project= credentials= token_file= impersonate= subject= token_endpoint quota_project= universe= iam_endpoint= filter= latest= '
	local cur=${1##*,} done=''
	[[ $1 == *,* ]] && done=${1%,*},
	mapfile -t COMPREPLY < <(compgen -P "$done" -W "$options" -- "$cur")
	compopt -o nospace
}

_secretfs_source()
{
	local backends
backends='file env inline aws aws-ssm gcp example '
	mapfile -t COMPREPLY < <(compgen -S : -W "$backends" -- "$1"; compgen -f -X '!*.conf' -- "$1"; compgen -d -- "$1")
	compopt -o nospace
}

# Names under a mount, as ls gives them; the mount point may have been given with -m.
_secretfs_names()
{
	local i point=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == -m ]] && point=(-m "${COMP_WORDS[i + 1]}")
	done
	mapfile -t COMPREPLY < <(compgen -W "$(secretfs ls "${point[@]}" 2>/dev/null)" -- "$1")
}

_secretfs()
{
	local commands flags='' cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	COMPREPLY=()
commands='mount umount ls get hydrate refresh purge cached status events check backends version help'
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
		return
	fi
	case ${COMP_WORDS[1]} in
	mount) flags='--help --options --foreground --verbose' ;;
	umount) flags='--help --lazy --force' ;;
	ls) flags='--help --mountpoint --long --filter' ;;
	get) flags='--help --mountpoint --version --field --nocache --json' ;;
	hydrate) flags='--help --mountpoint --all --filter --literal' ;;
	refresh) flags='--help --mountpoint --all --filter --literal' ;;
	purge) flags='--help --mountpoint --all --literal' ;;
	cached) flags='--help --mountpoint' ;;
	status) flags='--help --mountpoint --json' ;;
	events) flags='--help --mountpoint --follow --once --since --json --plain' ;;
	check) flags='--help --options' ;;
	backends) flags='--help' ;;
	version) flags='--help' ;;
	help) flags='--help' ;;
	esac
	case $prev in
	-o | --options) _secretfs_options "$cur"; return ;;
	-m | --mountpoint) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
		return
	fi
	case ${COMP_WORDS[1]} in
	mount) _secretfs_source "$cur"; ((COMP_CWORD > 2)) && mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
	check) _secretfs_source "$cur" ;;
	umount) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
	backends) _secretfs_source "$cur"; COMPREPLY=("${COMPREPLY[@]%:}") ;;
	ls | get | hydrate | purge | refresh) _secretfs_names "$cur" ;;
	help) mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur") ;;
	esac
}
complete -F _secretfs secretfs
