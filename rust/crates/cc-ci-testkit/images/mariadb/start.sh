#!/bin/sh
# Serves a MariaDB whose data lies in /var/lib/mysql; an empty one is made first.
#
# MARIADB_DATABASE and MARIADB_USER are made where they are missing, with the password in MARIADB_PASSWORD_FILE. root may
# come in from inside the container alone, without a password.
set -eu

# Layers come without the write bit for others.
chmod 1777 /tmp
data=/var/lib/mysql
small="--innodb-buffer-pool-size=16M --innodb-log-file-size=8M"
if [ ! -d "$data/mysql" ]; then
    # --force: a container's own name need not resolve.
    mariadb-install-db --force --user=mysql --datadir="$data" --skip-test-db \
        --auth-root-authentication-method=socket $small >/dev/null
fi
password=$(cat "$MARIADB_PASSWORD_FILE")
# Done at each start, before the first connection is let in.
cat >/run/mysqld/users.sql <<END
CREATE DATABASE IF NOT EXISTS \`$MARIADB_DATABASE\`;
CREATE OR REPLACE USER '$MARIADB_USER'@'%' IDENTIFIED BY '$password';
GRANT ALL ON \`$MARIADB_DATABASE\`.* TO '$MARIADB_USER'@'%';
END
chown -R mysql:mysql "$data" /run/mysqld
chmod 600 /run/mysqld/users.sql
exec mariadbd --user=mysql --datadir="$data" --socket=/run/mysqld/mysqld.sock --bind-address=0.0.0.0 \
    --skip-name-resolve --init-file=/run/mysqld/users.sql $small
