//! What the two images of the recipe guestbook consist of: a real MariaDB, and a small web app that keeps its data there.

use std::path::Path;

use crate::debian_root::{PATH, RootError, link_busybox, unpack, write};
use crate::image::Start;

/// A MariaDB server, its client and its dump program, with the libraries they are linked to.
const MARIADB: &[&str] = &[
    "mariadb-server-core",
    "mariadb-client-core",
    "mariadb-client",
    "libc6",
    "libaio1",
    "libcrypt1",
    "libgcc-s1",
    "libnuma1",
    "libpcre2-8-0",
    "libssl3",
    "libstdc++6",
    "libsystemd0",
    "liburing2",
    "zlib1g",
    "libmariadb3",
    "libedit2",
    "libncurses6",
    "libtinfo6",
    "libbsd0",
    "libmd0",
    "liblzma5",
    "libzstd1",
    "liblz4-1",
    "libcap2",
    "libgcrypt20",
    "libgpg-error0",
    "busybox-static",
];

/// The programs that are kept of those packages: a server, what makes its first tables, and what the hooks call.
const MARIADB_PROGRAMS: [&str; 6] =
    ["mariadb", "mariadb-admin", "mariadb-dump", "mariadb-install-db", "my_print_defaults", "resolveip"];

/// A Python with the client library of the database, in Python itself.
const GUESTBOOK: &[&str] = &[
    "python3.11-minimal",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "python3-pymysql",
    "libexpat1",
    "libffi8",
    "libc6",
    "libcrypt1",
    "libssl3",
    "zlib1g",
    "busybox-static",
];

const START: &str = include_str!("../images/mariadb/start.sh");
const APP: &str = include_str!("../images/guestbook/guestbook.py");

/// Nothing that a running program reads.
const READING_MATTER: [&str; 4] = ["usr/share/doc", "usr/share/man", "usr/share/lintian", "usr/share/locale"];

/// Fills `root` with a MariaDB server.
///
/// # Errors
/// As [`unpack`].
pub fn mariadb(root: &Path) -> Result<(), RootError> {
    unpack(MARIADB, root)?;
    link_busybox(root)?;
    let file = |path: &Path| {
        let path = path.to_owned();
        |cause| RootError::File { path, cause }
    };
    let programs = root.join("usr/bin");
    for entry in std::fs::read_dir(&programs).map_err(file(&programs))?.flatten() {
        let is_kept = MARIADB_PROGRAMS.iter().any(|kept| entry.file_name() == *kept);
        if !is_kept {
            std::fs::remove_file(entry.path()).map_err(file(&entry.path()))?;
        }
    }
    // Two and a half megabytes of help texts would be loaded into each new database.
    write(root, "usr/share/mysql/fill_help_tables.sql", "")?;
    write(
        root,
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nmysql:x:999:999:mysql:/var/lib/mysql:/bin/false\n",
    )?;
    write(root, "etc/group", "root:x:0:\nmysql:x:999:\n")?;
    write(root, "start.sh", START)?;
    finish(root, &["var/lib/mysql", "run/mysqld", "tmp"])
}

/// Fills `root` with the guestbook.
///
/// # Errors
/// As [`unpack`].
pub fn guestbook(root: &Path) -> Result<(), RootError> {
    unpack(GUESTBOOK, root)?;
    link_busybox(root)?;
    write(root, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")?;
    write(root, "etc/group", "root:x:0:\n")?;
    write(root, "guestbook.py", APP)?;
    finish(root, &["pictures", "tmp"])
}

fn finish(root: &Path, folders: &[&str]) -> Result<(), RootError> {
    for folder in folders.iter().chain(&["proc", "sys", "dev"]) {
        let path = root.join(folder);
        std::fs::create_dir_all(&path).map_err(|cause| RootError::File { path, cause })?;
    }
    for part in READING_MATTER {
        // What is not there needs no removing.
        let _ = std::fs::remove_dir_all(root.join(part));
    }
    Ok(())
}

/// How a container of [`mariadb`] starts.
pub const MARIADB_START: Start<'_> = Start {
    entrypoint: &["sh", "/start.sh"],
    command: &[],
    environment: &[PATH],
    port: Some("3306/tcp"),
    labels: &[],
};

/// How a container of [`guestbook`] starts; the release of the app itself comes on top.
pub const GUESTBOOK_START: Start<'_> = Start {
    entrypoint: &["python3.11", "/guestbook.py"],
    command: &[],
    environment: &[PATH, "PYTHONPATH=/usr/lib/python3/dist-packages", "PYTHONUNBUFFERED=1"],
    port: Some("8080/tcp"),
    labels: &[],
};

/// What decides about the files of [`mariadb`], for the key of what is kept.
pub fn recipe_of_mariadb() -> String {
    format!("{} {} {START}", MARIADB.join(" "), MARIADB_PROGRAMS.join(" "))
}

/// What decides about the files of [`guestbook`], for the key of what is kept.
pub fn recipe_of_guestbook() -> String {
    format!("{} {APP}", GUESTBOOK.join(" "))
}
