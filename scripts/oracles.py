"""The runner behind scripts/oracles. A bridge runs with one source for each provider, and for each provider

    a body of its pack's cases is signed afresh; its own library must believe it, and so must the bridge
    the same is forged: by a changed byte, by another secret, by a stale time; both must refuse
    `salebridge send` signs the case and sends it to a server here; the library must believe it
    what its pack.toml names as `oracle` must be what was asked

All secrets are invented for this run.
"""

import argparse
import importlib.metadata
import json
import logging
import os
import pathlib
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import asdict, dataclass, field, replace

from sdk_check_ends import Bridge, Upstream, free_port

from oracles_node import Node, NodeProvider
from oracles_providers import NOT_ASKED, PROVIDERS
from oracles_request import PUBLIC_URL, Headers, Request

SHIPPED = pathlib.Path(__file__).resolve().parent.parent / "providers"
COLUMNS = {
    "provider": "provider",
    "sdk": "SDK and version",
    "bridge_believes_sdk": "bridge believes SDK",
    "sdk_believes_bridge": "SDK believes bridge",
    "both_refuse_forgery": "both refuse a forgery",
}


@dataclass
class Row:
    """What came of one library, in the words of the table."""

    provider: str
    sdk: str
    bridge_believes_sdk: str = ""
    sdk_believes_bridge: str = ""
    both_refuse_forgery: str = ""
    notes: list = field(default_factory=list)  # why a direction does not exist
    faults: list = field(default_factory=list)

    def judge(self, column, what, faults):
        """One cell; `faults` says what is wrong, or is empty."""
        setattr(self, column, "FAILED" if faults else what)
        self.faults += faults


# The packs and their cases ---------------------------------------------------------------------------------------------


class Cases:
    """Where the packs lie, and the requests of their cases."""

    def __init__(self, folders):
        self.folders = folders

    def find(self, provider):
        """The case that the provider names, or None where there is none."""
        found = (folder / provider.pack / "cases" / f"{provider.case}.http" for folder in self.folders)
        return next((case for case in found if case.exists()), None)

    def oracles(self, provider):
        """The libraries that its pack says it is checked against."""
        pack = tomllib.loads((self.find(provider).parents[1] / "pack.toml").read_text())["pack"]
        return set(filter(None, pack.get("oracle", "").split(", ")))


def read(case):
    """The request of a case, without its remarks."""
    head, _, body = case.read_bytes().partition(b"\n\n")
    lines = [line for line in head.decode().splitlines() if not line.startswith("#")]
    fields = (line.partition(":") for line in lines[1:])
    headers = Headers({name.strip(): value.strip() for name, _, value in fields})
    for name in ("host", "content-length", "connection"):
        headers.pop(name, None)
    return Request(lines[0].split()[1], headers, body.removesuffix(b"\n"))


# The two ends ----------------------------------------------------------------------------------------------------------


class Listener(Bridge):
    """The bridge, with a configuration of our own."""

    def __init__(self, binary, folder, port):
        self.binary, self.folder, self.port = str(binary), folder, port
        self.log = folder / "bridge.log"
        self.process = None

    def judge(self, request):
        """The status of its answer."""
        return self.ask("POST", request.path, request.body, dict(request.headers)).status


def configuration(port, packs, providers):
    """One source for each provider, and nowhere to send their sales to."""
    quoted = json.dumps  # texts and lists of texts are the same in TOML
    parts = [f"pack_dirs = {quoted([str(folder) for folder in packs])}\n"]
    parts.append(
        f'[server]\nlisten = "127.0.0.1:{port}"\npublic_url = "{PUBLIC_URL}"\n\n[store]\nurl = "sqlite:oracles.db"\n'
    )
    for provider in providers:
        lines = [f"name = {quoted(provider.name)}", f"pack = {quoted(provider.pack)}"]
        for key, value in provider.configured().items():
            if isinstance(value, dict):
                inside = ", ".join(f"{name} = {quoted(text)}" for name, text in value.items())
                lines.append(f"{key} = {{ {inside} }}")
            else:
                lines.append(f"{key} = {quoted(value)}")
        parts.append("[[sources]]\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


# What is asked ---------------------------------------------------------------------------------------------------------


def refusal(provider, request):
    """Why the library does not believe the request, or None if it does."""
    try:
        return None if provider.vouch(request) else "it said no"
    except Exception as error:  # each library has its own
        return f"{type(error).__name__}: {error}"[:200]


def check_genuine(row, provider, bridge, request):
    """Signed afresh: the library believes it, and so does the bridge."""
    faults = []
    if why := refusal(provider, request):
        faults.append(f"its library refuses what {'it' if provider.signs else 'this script'} signed: {why}")
    if (status := bridge.judge(request)) != 200:
        faults.append(f"the bridge answered {status} to a genuine request")
    row.judge("bridge_believes_sdk", "yes, signed by it" if provider.signs else "yes", faults)


def check_sent(row, provider, binary, folder, ear, case):
    """What `salebridge send` signs, the library believes."""
    if provider.lacks_send:
        row.judge("sdk_believes_bridge", "cannot be", [])
        row.notes.append(provider.lacks_send)
        return
    ear.posts.clear()
    command = [str(binary), "--config", "config.toml", "send", provider.name, str(case)]
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    if len(ear.posts) != 1:
        said = (done.stderr or done.stdout).strip()[:300]
        row.judge("sdk_believes_bridge", "", [f"`send` sent {len(ear.posts)} requests, exit code {done.returncode}: {said}"])
        return
    post = ear.posts[0]
    why = refusal(provider, Request(post.path, Headers(post.headers), post.body.encode()))
    row.judge("sdk_believes_bridge", "yes", [f"its library refuses what the bridge signed: {why}"] if why else [])


def check_forged(row, provider, bridge, case):
    """What the library refuses, the bridge refuses."""
    genuine = provider.sign(case)
    forged = {"changed byte": provider.change(genuine), "other secret": provider.sign(case, secret=provider.other)}
    if provider.max_age_secs:
        forged["stale time"] = provider.sign(case, at=time.time() - provider.max_age_secs - 60)
    faults, refused = [], []
    for what, request in forged.items():
        if request is None:
            row.notes.append("what is sent only shows that the sender knows the password, so no changed byte can be noticed")
            continue
        refused.append(what)
        if not refusal(provider, request):
            faults.append(f"its library believes a forgery ({what})")
        if (status := bridge.judge(request)) != 401:
            faults.append(f"the bridge answered {status} to a forgery ({what})")
    row.judge("both_refuse_forgery", ", ".join(refused), faults)


def version(sdk, folder):
    registry, name = sdk
    if registry == "PyPI":
        return f"{name} {importlib.metadata.version(name)} (PyPI)"
    package = json.loads((folder / "node_modules" / name / "package.json").read_text())
    return f"{name} {package['version']} (npm)"


def ask(provider, given, cases, bridge, ear, sender):
    """All that is asked of one library."""
    row = Row(provider.pack, version(provider.sdk, given.sdks))
    case = cases.find(provider)
    try:
        request = replace_path(read(case), provider.name)
        check_genuine(row, provider, bridge, provider.sign(request))
        check_sent(row, provider, given.binary, sender, ear, case)
        check_forged(row, provider, bridge, request)
    except Exception as error:  # of a library, again
        row.faults.append(f"the check itself failed: {type(error).__name__}: {error}")
    return row


def check_oracles(rows, cases, providers):
    """What a pack names as its oracle was asked here, in this version."""
    for provider in {provider.pack: provider for provider in providers}.values():
        of_pack = [row for row in rows if row.provider == provider.pack]
        for named in sorted(cases.oracles(provider) - {row.sdk for row in of_pack}):
            of_pack[0].faults.append(f"its pack.toml names the oracle {named}, which was not asked")


def replace_path(request, name):
    """To the source of this run, with the query of the case."""
    _, question, query = request.path.partition("?")
    return replace(request, path=f"/webhooks/{name}{question}{query}")


# The run ---------------------------------------------------------------------------------------------------------------


def print_table(rows):
    lines = [list(COLUMNS.values()), *([getattr(row, column) for column in COLUMNS] for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print("\n\"signed by it\": the SDK itself signed; elsewhere this script did, and the SDK confirmed it.")
    for row in rows:
        for note in row.notes:
            print(f"{row.provider}: {note}")
    for provider, reason in NOT_ASKED.items():
        print(f"{provider}, not asked: {reason}")
    for row in rows:
        for fault in row.faults:
            print(f"FAILED {row.provider} ({row.sdk}): {fault}")
    asked = {row.provider for row in rows}
    agreed = asked - {row.provider for row in rows if row.faults}
    print(f"\n{len(asked)} providers, {len(agreed)} agree")


def run(given):
    cases = Cases([*given.pack_dir, SHIPPED])
    NodeProvider.node = Node(pathlib.Path(__file__).with_name("oracles.mjs"), given.sdks)
    providers = [kind() for kind in PROVIDERS if not given.only or kind.pack in given.only]
    known = [provider for provider in providers if cases.find(provider)]
    lost = [
        Row(provider.pack, "", faults=[f"no pack has its case {provider.case}"])
        for provider in providers
        if provider not in known
    ]
    packs = sorted({case.parents[1] for case in map(cases.find, known) if case.parents[2] in given.pack_dir})

    ear, port = Upstream(), free_port()
    bridge = Listener(given.binary, given.work, port)
    sender = given.work / "send"
    sender.mkdir()
    (given.work / "config.toml").write_text(configuration(port, packs, known))
    (sender / "config.toml").write_text(configuration(ear.url.rpartition(":")[2], packs, known))
    try:
        bridge.start()
        rows = [ask(provider, given, cases, bridge, ear, sender) for provider in known]
    except RuntimeError as error:
        print(f"{error}\n{bridge.log.read_text(errors='replace')[-3000:]}", file=sys.stderr)
        return 1
    finally:
        bridge.stop()
        ear.stop()
        NodeProvider.node.stop()

    check_oracles(rows, cases, known)
    rows = sorted([*rows, *lost], key=lambda row: row.provider)
    agree = not any(row.faults for row in rows)
    if given.json:
        print(json.dumps({"agree": agree, "rows": [asdict(row) for row in rows], "not_asked": NOT_ASKED}, indent=2))
    else:
        print_table(rows)
    return 0 if agree else 1


def main():
    arguments = argparse.ArgumentParser(prog="oracles", description="Run it as scripts/oracles.")
    arguments.add_argument("--binary", required=True, type=pathlib.Path, help="the bridge")
    arguments.add_argument("--libraries", dest="sdks", required=True, type=pathlib.Path, help="where node_modules is")
    arguments.add_argument(
        "--work", required=True, type=pathlib.Path, help="an empty folder for configurations, database and log"
    )
    arguments.add_argument("--pack-dir", action="append", default=[], type=pathlib.Path, help="a folder of packs")
    names = sorted({kind.pack for kind in PROVIDERS})
    arguments.add_argument("--only", action="append", default=[], choices=names, metavar="NAME", help="this provider alone")
    arguments.add_argument("--json", action="store_true", help="the table as JSON")
    given = arguments.parse_args()
    for name in list(os.environ):  # everything is on this machine, and the libraries check as they do in production
        if name.lower().endswith("_proxy") or name in ("TEST_MODE", "SALEBRIDGE_CONFIG"):
            del os.environ[name]
    logging.disable(logging.CRITICAL)  # the libraries' own words on each forgery
    os.environ["NO_COLOR"] = "1"
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    given.binary, given.work, given.sdks = given.binary.resolve(), given.work.resolve(), given.sdks.resolve()
    return run(given)


if __name__ == "__main__":
    sys.exit(main())
