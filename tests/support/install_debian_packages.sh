#!/usr/bin/env bash
# Debian packages that tests need: what each gives, and for which tests. Installs what is missing, where apt-get is there
# and may be used; elsewhere it says so, and those tests skip (on CI, where CI=true, they fail instead).
set -euo pipefail

# command  package
packages="
chromium   chromium
sshd       openssh-server
ffmpeg     ffmpeg
"

missing=()
while read -r command package; do
    [ -z "$command" ] || [ -n "$(PATH="$PATH:/usr/sbin:/sbin" command -v "$command")" ] || missing+=("$package")
done <<< "$packages"
[ "${#missing[@]}" -gt 0 ] || exit 0

run=()
[ "$(id -u)" -eq 0 ] || run=(sudo --non-interactive)
echo "installing for the tests: ${missing[*]}" >&2
# An index of yesterday names files that are gone, so it is fetched anew.
if ! { "${run[@]}" apt-get update -qq \
    && "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } > /dev/null; then
    echo "could not install ${missing[*]}: tests that need them will be skipped (apt-get install ${missing[*]})" >&2
fi
