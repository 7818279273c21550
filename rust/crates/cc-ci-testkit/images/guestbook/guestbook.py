"""A guestbook: people sign it over HTTP, a MariaDB keeps what they wrote, a folder keeps their pictures.

| request | answer |
| --- | --- |
| GET / | all entries, the newest first |
| POST / | a new entry: form fields `name` and `message`; 303 to / |
| DELETE /entries/<id> | removes one, for who has the moderator's token (header X-Moderator-Token) |
| PUT, GET /pictures/<name> | a picture |
| GET /health | `ok` while the database answers |

Settings: DATABASE_HOST, DATABASE_NAME, DATABASE_USER, DATABASE_PASSWORD_FILE, MODERATOR_TOKEN_FILE, GUESTBOOK_RELEASE.
"""

import html
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pymysql

# Each release brings its own step; a database may be one release ahead while two of them run side by side.
STEPS = {
    "1.0": "CREATE TABLE IF NOT EXISTS entries (id INT AUTO_INCREMENT PRIMARY KEY, name TEXT NOT NULL, "
    "message TEXT NOT NULL) DEFAULT CHARACTER SET utf8mb4",
    "1.1": "ALTER TABLE entries ADD COLUMN IF NOT EXISTS signed_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP",
    "1.2": "ALTER TABLE entries ADD COLUMN IF NOT EXISTS is_shown BOOLEAN NOT NULL DEFAULT TRUE",
}
RELEASE = os.environ["GUESTBOOK_RELEASE"]
PICTURES = Path("/pictures")


def secret(name):
    return Path(os.environ[name]).read_text().strip()


def ask(statement, values=()):
    connection = pymysql.connect(
        host=os.environ["DATABASE_HOST"],
        user=os.environ["DATABASE_USER"],
        password=secret("DATABASE_PASSWORD_FILE"),
        database=os.environ["DATABASE_NAME"],
        charset="utf8mb4",
        connect_timeout=5,
        autocommit=True,
    )
    with connection, connection.cursor() as cursor:
        count = cursor.execute(statement, values)
        return count, cursor.fetchall()


def migrate():
    for release, statement in STEPS.items():
        if release <= RELEASE:
            ask(statement)


class Guestbook(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            ask("SELECT 1")
            return self.answer(200, "ok\n")
        if picture := self.picture():
            return self.answer(200, picture.read_bytes()) if picture.is_file() else self.answer(404, "no such picture\n")
        if self.path != "/":
            return self.answer(404, "no such page\n")
        _, entries = ask("SELECT id, name, message FROM entries ORDER BY id DESC")
        rows = "".join(
            f'<li id="entry-{number}"><b>{html.escape(name)}</b>: {html.escape(message)}</li>\n'
            for number, name, message in entries
        )
        return self.answer(200, f"<h1>Guestbook {RELEASE}</h1>\n<ul>\n{rows}</ul>\n", "text/html; charset=utf-8")

    def do_POST(self):
        form = parse_qs(self.body().decode())
        name, message = (form.get(field, [""])[0].strip() for field in ("name", "message"))
        if self.path != "/" or not name or not message:
            return self.answer(400, "a name and a message are needed\n")
        ask("INSERT INTO entries (name, message) VALUES (%s, %s)", (name, message))
        return self.answer(303, "", location="/")

    def do_PUT(self):
        picture = self.picture()
        if not picture:
            return self.answer(404, "no such page\n")
        picture.write_bytes(self.body())
        return self.answer(201, "kept\n")

    def do_DELETE(self):
        if self.headers.get("X-Moderator-Token") != secret("MODERATOR_TOKEN_FILE"):
            return self.answer(403, "only for the moderator\n")
        number = self.path.removeprefix("/entries/")
        count = ask("DELETE FROM entries WHERE id = %s", (number,))[0] if number.isdigit() else 0
        return self.answer(204 if count else 404, "")

    def picture(self):
        name = self.path.removeprefix("/pictures/")
        is_name = name != self.path and name and all(letter.isalnum() or letter in ".-" for letter in name)
        return PICTURES / name if is_name and not name.startswith(".") else None

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status, body, kind="text/plain; charset=utf-8", location=None):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except pymysql.MySQLError as error:
            self.log_error("database: %s", error)
            self.answer(503, "the database does not answer\n")
            self.close_connection = True


def main():
    # The database may start later than the guestbook.
    for _ in range(600):
        try:
            migrate()
            break
        except pymysql.MySQLError as error:
            print(f"waiting for the database: {error}", file=sys.stderr, flush=True)
            time.sleep(0.2)
    else:
        sys.exit("the database does not answer")
    ThreadingHTTPServer(("0.0.0.0", 8080), Guestbook).serve_forever()


main()
