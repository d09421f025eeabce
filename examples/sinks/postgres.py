"""A PostgreSQL beside a check, from the binaries that Maven has fetched. It is gone with the check, and so are its files."""

import io
import os
import subprocess
import tarfile
import zipfile

import pg8000.native
from java import free_ports

# It does not run as root, so root looks like nobody to it.
AS_ANYBODY = ["unshare", "--user"] if os.geteuid() == 0 else []


class Postgres:
    def __init__(self, world, lib, home):
        if not home.exists():
            self.unpack(lib, home)
        [self.port], data = free_ports(1), world.directory / "postgres"
        initdb = [*AS_ANYBODY, home / "bin" / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL)
        # Nobody needs what it has written once the check is over.
        options = ["-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"]
        server = world.start("postgresql", *AS_ANYBODY, home / "bin" / "postgres", "-D", data, *options)
        server.wait_for("(ready to accept connections)", 60)
        self.connection = pg8000.native.Connection("postgres", host="127.0.0.1", port=self.port, database="postgres")

    @staticmethod
    def unpack(lib, home):
        [jar] = lib.glob("embedded-postgres-binaries-*.jar")
        with zipfile.ZipFile(jar) as inside:
            [name] = [name for name in inside.namelist() if name.endswith(".txz")]
            archive = io.BytesIO(inside.read(name))
        unpacked = home.with_suffix(".unpacked")
        with tarfile.open(fileobj=archive) as files:
            files.extractall(unpacked, filter="tar")
        # It has its name when it is whole.
        unpacked.rename(home)

    def ask(self, sql):
        """Nothing as long as there is no such table."""
        try:
            return self.connection.run(sql)
        except pg8000.DatabaseError as error:
            if error.args[0]["C"] != "42P01":
                raise
            return []
