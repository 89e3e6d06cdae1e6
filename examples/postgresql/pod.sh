#!/usr/bin/env bash
# Runs what a pod of a team contains: PostgreSQL, and stunnel for clients that begin with TLS. Usage: pod.sh MANIFEST.
# The ports are those in the EndpointSlice of the manifest. The folder of the manifest has the CA; the database and the
# certificate are created there. PostgreSQL does not run as root, so root starts it as the user of Debian's package.
set -euo pipefail
team=$(basename "$1" .yaml)
folder=$(realpath "$(dirname "$1")")
port_of() { sed -n "s/.*name: $1, port: \([0-9]*\)}.*/\1/p" "$folder/$team.yaml" | tail -n 1; }
programs=$(find /usr/lib/postgresql -name initdb -printf '%h\n' | sort -V | tail -n 1)
as_postgres=()
[ "$(id -u)" != 0 ] || as_postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups)

mkdir "$folder/$team"
cd "$folder/$team"
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$team.db.example" -keyout tls.key -out tls.csr
echo "subjectAltName = DNS:$team.db.example" > names
openssl x509 -req -in tls.csr -CA ../ca.crt -CAkey ../ca.key -days 30 -extfile names -out tls.crt
echo secret > password
chmod 600 tls.key
cat > stunnel.conf <<END
foreground = yes
pid =
[postgresql]
accept = 127.0.0.1:$(port_of tls)
connect = $PWD/.s.PGSQL.$(port_of postgresql)
cert = tls.crt
key = tls.key
END
stunnel stunnel.conf &

[ "$(id -u)" != 0 ] || chown -R postgres: .
"${as_postgres[@]}" "$programs/initdb" -D data -U app --auth=scram-sha-256 --pwfile=password --no-sync
cat > data/pg_hba.conf <<END
local   all all               scram-sha-256
hostssl all all 127.0.0.1/32  scram-sha-256
END
exec "${as_postgres[@]}" "$programs/postgres" -D data -p "$(port_of postgresql)" -c listen_addresses=127.0.0.1 \
  -c unix_socket_directories="$PWD" -c fsync=off -c cluster_name="$team" \
  -c ssl=on -c ssl_cert_file=../tls.crt -c ssl_key_file=../tls.key
