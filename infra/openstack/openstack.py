#!/usr/bin/python3
"""A real, small OpenStack on loopback, for tests: Keystone, Placement, Glance, and Nova with two computes.

    openstack.py start DIR              make it and start it; the last line says so, and DIR/clouds.yaml is there
    openstack.py stop DIR               stop what runs of it
    openstack.py kill DIR NAME          kill one of its processes (SIGKILL)
    openstack.py restart DIR NAME       start it again

It runs from Debian's packages as plain processes that listen on 127.0.0.1 alone, and writes below DIR alone. Nothing of the
system's services is used or touched. Processes are told to end by the id that they were started with, and only while that id
is still theirs. There is no network (`neutron_stub.py`) and no hypervisor (`compute.py`, which also has the faults: files in
DIR/fault). MariaDB, since SQLite locks up when servers are made side by side.

Settings, by environment, when DIR is made: QUOTA_CORES, QUOTA_INSTANCES, TOKEN_S (seconds that a token is valid for), VCPUS and
RAM_MB of each compute.
"""

import base64
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import settings

HERE = Path(__file__).resolve().parent
KNOBS = {"QUOTA_CORES": 20, "QUOTA_INSTANCES": 10, "TOKEN_S": 86_400, "VCPUS": 16, "RAM_MB": 65_536}
PORTS = ("epmd", "amqp", "dist", "keystone", "placement", "glance", "neutron", "nova")
COMPUTES = ("compute1", "compute2")
DATABASES = ("keystone", "placement", "glance", "nova_api", "nova_cell0", "nova_cell1")
# In the order in which they start.
PROCESSES = ("epmd", "mariadb", "rabbitmq", "keystone", "placement", "glance", "neutron", "conductor", "scheduler",
             *COMPUTES, "nova")
STORES = ("epmd", "mariadb", "rabbitmq")
PACKAGES = {
    "nova-api": "nova-api", "nova-conductor": "nova-conductor", "nova-scheduler": "nova-scheduler",
    "nova-manage": "nova-common", "keystone-manage": "keystone", "placement-manage": "placement-api",
    "glance-api": "glance-api", "mariadbd": "mariadb-server", "epmd": "erlang-base", "uwsgi": "uwsgi-core",
}
WITHIN_S = 180


class Failed(Exception):
    """Something that whoever started this has to know."""


class Layout:
    """Where things are."""

    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        if len(str(self.folder)) > 80:
            raise Failed(f"{self.folder}: too long a name for a socket below it")
        self.conf, self.log, self.run = (self.folder / name for name in ("conf", "log", "run"))
        self.computes, self.port, self.knobs = COMPUTES, {}, {}
        if self.kept.exists():
            kept = json.loads(self.kept.read_text())
            self.port, self.knobs = kept["port"], kept["knobs"]

    @property
    def kept(self):
        return self.folder / "openstack.json"

    def url(self, name):
        return f"http://127.0.0.1:{self.port[name]}"

    def make(self):
        """Folders, ports and keys, once."""
        if self.kept.exists():
            return
        for name in ("conf", "log", "run", "done", "fault", "tmp", "state", "rabbit", "fernet", "credential"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for name in ("fernet", "credential", "rabbit"):
            (self.folder / name).chmod(0o700)
        for name in ("fernet", "credential"):
            for nth in "01":
                key = self.folder / name / nth
                key.write_bytes(base64.urlsafe_b64encode(secrets.token_bytes(32)))
                key.chmod(0o600)
        held = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
        self.port = {name: listener.getsockname()[1] for name, listener in zip(PORTS, held)}
        for listener in held:
            listener.close()
        self.knobs = {name: int(os.environ.get(name, value)) for name, value in KNOBS.items()}
        settings.write(self, self.knobs)
        self.kept.write_text(json.dumps({"port": self.port, "knobs": self.knobs}))


class Processes:
    """The processes, each the leader of a group: file run/NAME holds its id and when it was born, by the kernel."""

    def __init__(self, layout):
        self.layout = layout

    def environment(self, name):
        folder = self.layout.folder
        kept = {key: value for key, value in os.environ.items()
                if not key.startswith(("OS_", "PYTHON", "RABBITMQ_")) and not key.lower().endswith("_proxy")}
        plain = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "ignore",
                 "HOME": str(folder / "tmp"), "XDG_CACHE_HOME": str(folder / "tmp"), "no_proxy": "127.0.0.1,localhost"}
        own = {
            "keystone": {"OS_KEYSTONE_CONFIG_FILES": str(self.layout.conf / "keystone.conf")},
            "placement": {"OS_PLACEMENT_CONFIG_DIR": str(self.layout.conf)},
            "rabbitmq": self.rabbit(),
        }.get(name, {})
        if name in COMPUTES:
            knobs = self.layout.knobs
            own = {"FAULTS": str(folder / "fault"), "FAKE_VCPUS": str(knobs["VCPUS"]), "FAKE_RAM_MB": str(knobs["RAM_MB"])}
        return kept | plain | own

    def rabbit(self):
        layout, port = self.layout, self.layout.port
        homes = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
        if not homes:
            raise Failed("RabbitMQ is missing: install Debian's rabbitmq-server")
        return {
            "HOME": str(layout.folder / "rabbit"),
            "RABBITMQ_HOME": str(homes[-1]),
            "ERL_EPMD_PORT": str(port["epmd"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"test{port['amqp']}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port["amqp"]),
            "RABBITMQ_DIST_PORT": str(port["dist"]),
            "RABBITMQ_MNESIA_BASE": str(layout.folder / "rabbit" / "mnesia"),
            "RABBITMQ_LOG_BASE": str(layout.log),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(layout.conf / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(layout.conf / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(layout.conf / "enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(layout.folder / "rabbit" / "config"),
            "RABBITMQ_PID_FILE": str(layout.run / "rabbitmq.own"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
        }

    def command(self, name):
        layout, port = self.layout, self.layout.port
        nova = ["--config-file", layout.conf / "nova.conf"]
        if name in COMPUTES:
            # With -P, since this file has the name of a package that Nova imports.
            return ["/usr/bin/python3", "-P", HERE / "compute.py", *nova, "--config-file", layout.conf / f"{name}.conf"]
        return {
            "epmd": ["epmd", "-port", port["epmd"], "-address", "127.0.0.1"],
            "mariadb": ["mariadbd", *self.database_options(), f"--socket={layout.folder}/db.sock",
                        f"--pid-file={layout.run}/mariadb.own", "--skip-networking", "--max-connections=400"],
            "rabbitmq": [f"{self.rabbit()['RABBITMQ_HOME']}/sbin/rabbitmq-server"],
            "keystone": self.wsgi("/usr/bin/keystone-wsgi-public", port["keystone"], 2),
            "placement": self.wsgi("/usr/bin/placement-api", port["placement"], 1),
            "glance": ["glance-api", "--config-file", layout.conf / "glance-api.conf"],
            "neutron": ["/usr/bin/python3", HERE / "neutron_stub.py", port["neutron"]],
            "conductor": ["nova-conductor", *nova],
            "scheduler": ["nova-scheduler", *nova],
            "nova": ["nova-api", *nova],
        }[name]

    def wsgi(self, file, port, processes):
        return ["uwsgi", "--plugins", "python3", "--master", "--lazy-apps", "--need-app", "--die-on-term", "--no-orphans",
                "--buffer-size", 65535, "--listen", 100, "--http-socket", f"127.0.0.1:{port}", "--wsgi-file", file,
                "--processes", processes, "--threads", 1, "--enable-threads", "--disable-logging",
                "--add-header", "Connection: close"]

    def database_options(self):
        folder = self.layout.folder
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        # What is here need not outlive a power failure.
        return ["--no-defaults", f"--user={user}", f"--datadir={folder}/db", f"--tmpdir={folder}/tmp",
                "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--innodb-doublewrite=0",
                "--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--aria-pagecache-buffer-size=8M",
                "--key-buffer-size=1M", "--skip-log-bin", "--performance-schema=0", "--character-set-server=utf8mb3"]

    def start(self, name):
        if self.is_alive(name):
            return
        with open(self.layout.log / f"{name}.log", "ab") as log:
            command = [str(part) for part in self.command(name)]
            started = subprocess.Popen(command, env=self.environment(name), stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log, start_new_session=True, cwd=self.layout.folder)
        (self.layout.run / name).write_text(f"{started.pid} {stat(started.pid)[19]}")

    def leader(self, name):
        """Id of the process, where no other one has it by now."""
        try:
            pid, born = (self.layout.run / name).read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        now = stat(int(pid))
        return None if now and now[19] != born else int(pid)

    def is_alive(self, name):
        pid = self.leader(name)
        now = stat(pid) if pid else None
        return bool(now) and now[0] != "Z"

    def group(self, name):
        """Ids of the group that the process leads, or led."""
        pid = self.leader(name)
        if pid is None:
            return []
        of_all = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
        fields = {other: stat(other) for other in of_all}
        return [other for other, now in fields.items() if now and now[2] == str(pid) and now[0] != "Z"]

    def end(self, name, how=signal.SIGTERM):
        for signal_ in (how, signal.SIGKILL):
            if not self.group(name):
                break
            os.killpg(self.leader(name), signal_)
            until = time.monotonic() + 10
            while self.group(name) and time.monotonic() < until:
                time.sleep(0.1)
        left = self.group(name)
        if left:
            raise Failed(f"{name} does not end: {left}")
        (self.layout.run / name).unlink(missing_ok=True)

    def said(self, name):
        path = self.layout.log / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def until(self, name, what, holds):
        """Waits until it holds, as long as the process is there."""
        until = time.monotonic() + WITHIN_S
        while not holds():
            if not self.is_alive(name):
                raise Failed(f"{name} has ended:\n{self.said(name)[-2000:]}")
            if time.monotonic() > until:
                raise Failed(f"{name}: waited {WITHIN_S} s for {what}; see {self.layout.log}/{name}.log")
            time.sleep(0.1)

    def until_listens(self, name):
        port = {"rabbitmq": "amqp"}.get(name, name)
        if name == "mariadb":
            self.until(name, "answers", lambda: self.sql("select 1") is not None)
        elif port in self.layout.port:
            self.until(name, f"port {self.layout.port[port]}", lambda: listens(self.layout.port[port]))

    def sql(self, query):
        client = ["mariadb", "--no-defaults", "-u", "root", "-S", f"{self.layout.folder}/db.sock", "-N", "-e", query]
        answer = subprocess.run(client, capture_output=True, text=True)
        return answer.stdout if answer.returncode == 0 else None

    def once(self, name, *command, also_well=()):
        """Runs a step of the set-up, unless it went well before."""
        stamp = self.layout.folder / "done" / name
        if stamp.exists():
            return
        command = [str(part) for part in command]
        answer = subprocess.run(command, env=self.environment("placement"), capture_output=True, text=True,
                                stdin=subprocess.DEVNULL)
        (self.layout.log / f"setup-{name}.log").write_text(answer.stdout + answer.stderr)
        if answer.returncode not in (0, *also_well):
            raise Failed(f"{name} failed ({answer.returncode}):\n{(answer.stdout + answer.stderr)[-2000:]}")
        stamp.touch()


class Api:
    """Calls as the administrator."""

    def __init__(self, layout):
        self.layout, self.keystone, self.token = layout, layout.url("keystone") + "/v3", None
        domain = {"domain": {"id": "default"}}
        user = {"name": "admin", "password": settings.PASSWORD, **domain}
        head, _ = self.call("POST", f"{self.keystone}/auth/tokens", {"auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": "admin", **domain}},
        }})
        self.token = head["X-Subject-Token"]

    def call(self, method, url, body=None, form="application/json"):
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": form, "Accept": "application/json"}
        if self.token:
            headers["X-Auth-Token"] = self.token
        until = time.monotonic() + 60
        while True:
            request = urllib.request.Request(url, data, headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    raw = answer.read()
                    return answer.headers, json.loads(raw) if raw else None
            except urllib.error.HTTPError as error:
                if error.code == 409:
                    return error.headers, None
                if error.code < 500 or time.monotonic() > until:
                    raise Failed(f"{method} {url}: {error.code} {error.read()[:500]}") from error
            except (urllib.error.URLError, ConnectionError) as error:
                if time.monotonic() > until:
                    raise Failed(f"{method} {url}: {error}") from error
            time.sleep(0.3)

    def ensure(self, one, wanted):
        """Makes one of Keystone's things, unless it is there; its id."""
        for known in self.call("GET", f"{self.keystone}/{one}s")[1][f"{one}s"]:
            if all(known.get(key) == value for key, value in wanted.items() if key != "password"):
                return known["id"]
        return self.call("POST", f"{self.keystone}/{one}s", {one: wanted})[1][one]["id"]

    def register(self):
        """Who is where, and a user who is nobody in particular."""
        for name, kind, path in (("placement", "placement", ""), ("glance", "image", ""), ("nova", "compute", "/v2.1")):
            service = self.ensure("service", {"name": name, "type": kind})
            self.ensure("endpoint", {"service_id": service, "interface": "public", "region_id": settings.REGION,
                                     "url": self.layout.url(name) + path})
        project = self.ensure("project", {"name": "demo", "domain_id": "default"})
        user = self.ensure("user", {"name": "demo", "password": settings.PASSWORD, "domain_id": "default"})
        roles = {role["name"]: role["id"] for role in self.call("GET", f"{self.keystone}/roles")[1]["roles"]}
        self.call("PUT", f"{self.keystone}/projects/{project}/users/{user}/roles/{roles['member']}")

    def image(self):
        images = self.layout.url("glance") + "/v2/images"
        if self.call("GET", images)[1]["images"]:
            return
        made = self.call("POST", images, {"name": "tiny", "disk_format": "raw", "container_format": "bare",
                                          "visibility": "public"})[1]
        self.call("PUT", f"{images}/{made['id']}/file", bytes(1024), "application/octet-stream")

    def flavors(self):
        for vcpus in (1, 2, 4):
            flavor = {"id": f"c{vcpus}", "name": f"c{vcpus}", "vcpus": vcpus, "ram": 1024 * vcpus, "disk": 1}
            self.call("POST", self.layout.url("nova") + "/v2.1/flavors", {"flavor": flavor})


def stat(pid):
    """What the kernel says of a process from its state on: state, parent, group, and at place 19 when it was born."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def start(layout):
    missing = sorted({package for program, package in PACKAGES.items() if not shutil.which(program, path="/usr/sbin:/usr/bin")})
    if missing:
        raise Failed(f"programs are missing: install Debian's {', '.join(missing)}")
    layout.folder.mkdir(parents=True, exist_ok=True)
    lock = open(layout.folder / "lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    layout.make()
    processes = Processes(layout)
    begun = time.strftime("%F %T", time.gmtime())

    def up(*names):
        for name in names:
            processes.start(name)
        for name in names:
            processes.until_listens(name)

    up("epmd")
    processes.once("mariadb", "mariadb-install-db", *processes.database_options(),
                   "--auth-root-authentication-method=normal", "--skip-test-db")
    processes.start("rabbitmq")
    up("mariadb")
    for name in DATABASES:
        processes.sql(f"create database if not exists {name}")
    keystone = ["keystone-manage", "--config-file", layout.conf / "keystone.conf"]
    processes.once("keystone-db", *keystone, "db_sync")
    public = [f"--bootstrap-{kind}-url={layout.url('keystone')}/v3" for kind in ("public", "internal", "admin")]
    processes.once("keystone", *keystone, "bootstrap", "--bootstrap-username", "admin", "--bootstrap-password",
                   settings.PASSWORD, "--bootstrap-project-name", "admin", "--bootstrap-role-name", "admin",
                   "--bootstrap-service-name", "keystone", "--bootstrap-region-id", settings.REGION, *public)
    processes.once("placement-db", "placement-manage", "--config-file", layout.conf / "placement.conf", "db", "sync")
    processes.once("glance-db", "glance-manage", "--config-file", layout.conf / "glance-api.conf", "db_sync")
    for name in ("keystone", "neutron", "placement", "glance"):
        processes.start(name)
    nova = ["nova-manage", "--config-file", layout.conf / "nova.conf"]
    cell0 = f"mysql+pymysql://root@localhost/nova_cell0?unix_socket={layout.folder}/db.sock&charset=utf8"
    processes.once("nova-api-db", *nova, "api_db", "sync")
    processes.once("nova-cell0", *nova, "cell_v2", "map_cell0", "--database_connection", cell0)
    processes.once("nova-db", *nova, "db", "sync")
    processes.once("nova-cell1", *nova, "cell_v2", "create_cell", "--name", "cell1", also_well=(2,))
    up("keystone", "neutron", "placement", "glance", "rabbitmq")
    api = Api(layout)
    api.register()
    api.image()
    # A compute that comes before the conductor loses ten seconds.
    is_alive = processes.is_alive("conductor")
    seen = 0 if is_alive else len(processes.said("conductor"))
    up("conductor", "scheduler", "nova")
    processes.until("conductor", "begins", lambda: "Starting conductor node" in processes.said("conductor")[seen:])
    for name in COMPUTES:
        processes.start(name)
    api.flavors()

    def count(query):
        return int(processes.sql(query) or 0)

    computes = "select count(*) from nova_cell1.compute_nodes where deleted = 0"
    inventories = "select count(distinct resource_provider_id) from placement.inventories"
    processes.until("compute1", "is registered",
                    lambda: min(count(computes), count(inventories)) >= len(COMPUTES))
    processes.once("hosts", *nova, "cell_v2", "discover_hosts")
    # Nova gives no work to a service whose last report is old.
    reports = f"select count(*) from nova_cell1.services where deleted = 0 and updated_at >= '{begun}'"
    processes.until("conductor", "all report", lambda: count(reports) >= len(COMPUTES) + 2)
    # JSON is YAML.
    (layout.folder / "clouds.yaml").write_text(json.dumps(settings.clouds(layout), indent=1) + "\n")
    print("ready")


def stop(layout):
    processes = Processes(layout)
    for name in reversed(PROCESSES):
        if name not in STORES:
            processes.end(name)
    for name in reversed(STORES):
        processes.end(name)


def main(arguments):
    if len(arguments) < 2:
        sys.exit(__doc__)
    action, folder, *names = arguments
    try:
        layout = Layout(folder)
        if action == "start":
            start(layout)
        elif action == "stop":
            stop(layout)
        elif action == "kill":
            Processes(layout).end(*names, signal.SIGKILL)
        elif action == "restart":
            processes = Processes(layout)
            processes.end(*names)
            processes.start(*names)
            processes.until_listens(*names)
        else:
            sys.exit(__doc__)
    except Failed as error:
        sys.exit(f"openstack.py: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
