#!/bin/bash

# Keeps the demo's gate, stand-in backend and redis up to play with, until
# Ctrl-C.

set -euo pipefail

. "$(dirname "$0")/lib.sh"

phone=7f3d2c10-58b4-4e0a-9c61-2a8f40d5e1b7
app=c4a9e6d2-0b17-4f83-b5d0-91e7a36c8f42

start_all $phone
enrol $phone ApplDNPX2QK4HG7J $app VMAPP7Q2K4H9X1

mail=http://127.0.0.1:$exchange
site=http://127.0.0.1:$sharepoint
redis=unix:$dir/redis.sock

cat <<END_OF_TEXT

The gate is up, in front of stand-ins for Exchange and SharePoint.

  Exchange      $mail  https://127.0.0.1:$exchange_tls
  SharePoint    $site  https://127.0.0.1:$sharepoint_tls
  status        $mail/mtd/status
  remediation   $mail/remediate
  decisions     tail -f $dir/access.log

Anna's managed phone reads mail, and opens pages with its certificate:

  curl -si -X POST -H 'MS-ASProtocolVersion: 16.1' \\
    '$mail/Microsoft-Server-ActiveSync?Cmd=Sync&User=anna&DeviceId=ApplDNPX2QK4HG7J&DeviceType=iPhone' \\
    | sed '1,/^.\$/d' | demo/wbxml.pl decode
  curl -ki -H 'Accept: text/html' -E $dir/phone.pem https://127.0.0.1:$exchange_tls/owa/
  curl -ki -H 'Accept: text/html' -E $dir/phone.pem https://127.0.0.1:$sharepoint_tls/sites/team/SitePages/Home.aspx

Bo's phone, known by its protected app only:

  curl -i -H 'X-App-Device: $app' $site/sites/team/_api/web

Nobody's:

  curl -i $mail/owa/

Report a threat and ask again, then end it (the same for $app):

  build/tools/mtdctl --redis $redis device set $phone threat=highSeverity vendor=lookout reported_at=now
  build/tools/mtdctl --redis $redis device set $phone threat=secured vendor=lookout reported_at=now
  build/tools/mtdctl --redis $redis device get $phone
  redis-cli -s $dir/redis.sock monitor

Ctrl-C stops everything.
END_OF_TEXT

wait "$gate_pid"
die "the gate has ended: $(tail -n 3 "$dir/gate.err")"
