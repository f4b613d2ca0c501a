#!/usr/bin/env bash
# Several hosts on one machine: network namespaces on one switch, and a hand on every cable.
#
#   hosts.sh NET up N              hosts 1..N of a network NET, at 10.77.0.1 to 10.77.0.N
#   hosts.sh NET exec I COMMAND…   runs a command on host I
#   hosts.sh NET split 1,2,3 4,5…  these groups no longer hear each other; whom no group names is cut off
#   hosts.sh NET cut I             the same for one host alone
#   hosts.sh NET heal              everybody hears everybody again
#   hosts.sh NET flap I TIMES S    host I's cable is pulled out for S seconds and put back, TIMES over
#   hosts.sh NET rate I 10mbit     what host I sends passes no faster than this
#   hosts.sh NET down              ends what runs on these hosts, and the hosts
#   hosts.sh NET hold N            up, prints "up", waits for the end of its input, down: nothing outlives the caller
#
# A cut is silent: packets vanish at the switch. Nobody gets a RST or an ICMP error, interfaces keep their carrier, and
# neighbours' MAC addresses are set for good, so that not even an unanswered ARP request tells. A flap is not: the
# interface loses its carrier. NET is any name [a-z0-9]; networks of different names cannot touch each other or the
# machine's own. Needs root and iproute2.
set -euo pipefail

usage() {
  sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
  exit 2
}
fail() {
  echo "hosts.sh: $*" >&2
  exit 1
}

[ $# -ge 2 ] && [[ $1 =~ ^[a-z0-9]{1,32}$ ]] || usage
net=$1 verb=$2
shift 2
switch=$net-switch

# Namespaces of this network, the switch included; a name has one dash, so no other network's begins like this.
spaces() { ip netns list | cut -d ' ' -f 1 | grep -E "^$net-([0-9]+|switch)$" || true; }
# The switch's end of every cable: port1, port2, …
ports() { ip -n "$switch" -o link show type veth | sed -E 's/^[0-9]+: (port[0-9]+)@.*/\1/'; }
host() { [[ ${1:-} =~ ^[1-9][0-9]*$ ]] && ip -n "$net-$1" link show eth0 >/dev/null 2>&1 || fail "there is no host ${1:-} in $net"; }
mac() { printf '02:00:00:00:00:%02x' "$1"; }

may_be_made() {
  [[ ${1:-} =~ ^[1-9][0-9]?$ ]] || fail "hosts are 1 to 99, not ${1:-none}"
  [ "$(id -u)" -eq 0 ] || fail 'network namespaces need root'
  command -v ip >/dev/null || fail 'there is no ip command: apt-get install iproute2'
  [ -z "$(spaces)" ] || fail "a network $net is there already"
}
up() {
  local count=$1 i j
  trap 'down; fail "no network namespaces here: that needs CAP_SYS_ADMIN and CAP_NET_ADMIN (docker run --privileged)"' ERR
  ip netns add "$switch"
  ip -n "$switch" link add together type bridge
  ip -n "$switch" link set together up
  for ((i = 1; i <= count; i++)); do
    ip netns add "$net-$i"
    ip link add eth0 netns "$net-$i" address "$(mac "$i")" type veth peer name "port$i" netns "$switch"
    ip -n "$switch" link set "port$i" up master together
    {
      echo 'link set lo up'
      echo "address add 10.77.0.$i/24 dev eth0"
      echo 'link set eth0 up'
      for ((j = 1; j <= count; j++)); do
        if [ "$j" -ne "$i" ]; then echo "neighbour replace 10.77.0.$j lladdr $(mac "$j") dev eth0 nud permanent"; fi
      done
    } | ip -n "$net-$i" -batch -
  done
  trap - ERR
}

down() {
  local space pids tries
  for space in $(spaces); do
    # A process that is being killed may have begun another.
    for ((tries = 0; tries < 100; tries++)); do
      pids=$(ip netns pids "$space")
      [ -n "$pids" ] || break
      # shellcheck disable=SC2086
      kill -KILL $pids 2>/dev/null || true
      sleep 0.02
    done
    ip netns delete "$space"
  done
}

case $verb in
up)
  may_be_made "$@"
  up "$1"
  ;;
down) down ;;
hold)
  may_be_made "$@"
  trap down EXIT
  trap exit INT TERM HUP
  up "$1"
  echo up
  while read -r; do :; done
  ;;
exec)
  host "${1:-}"
  space=$net-$1
  shift
  exec ip netns exec "$space" "$@"
  ;;
split)
  declare -A side=()
  group=0
  for members in "$@"; do
    group=$((group + 1))
    for i in ${members//,/ }; do
      host "$i"
      side[port$i]=side$group
    done
    ip -n "$switch" link add "side$group" type bridge 2>/dev/null || true
    ip -n "$switch" link set "side$group" up
  done
  for port in $(ports); do
    if [ -n "${side[$port]:-}" ]; then echo "link set $port master ${side[$port]}"; else echo "link set $port nomaster"; fi
  done | ip -n "$switch" -batch -
  ;;
cut)
  host "${1:-}"
  ip -n "$switch" link set "port$1" nomaster
  ;;
heal) for port in $(ports); do echo "link set $port up master together"; done | ip -n "$switch" -batch - ;;
flap)
  host "${1:-}"
  for ((i = 0; i < ${2:?times}; i++)); do
    ip -n "$switch" link set "port$1" down
    sleep "${3:?seconds}"
    ip -n "$switch" link set "port$1" up
    sleep "$3"
  done
  ;;
rate)
  host "${1:-}"
  tc -n "$net-$1" qdisc replace dev eth0 root tbf rate "${2:?rate}" burst 256kb latency 100ms
  ;;
*) usage ;;
esac
