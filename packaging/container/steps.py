"""Carries out a container file without an engine: each RUN in a chroot, each COPY between folders, for a machine that can have no engine.

steps.py CONTEXT BASE OUT [NAME=VALUE …]: BASE is a root folder that stands for every base image but scratch; it is changed. Build
arguments follow. Writes the last stage into OUT, and prints its settings (user, command, health check) as JSON. Needs root.
Knows no more of the language than this project's file uses, and refuses the rest.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys


def instructions(text):
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word.upper(), rest.strip()


def stages(text, arguments):
    """Each stage that the last one needs, as (name, base, instructions), in order."""
    found, known = [], dict(arguments)
    for word, rest in instructions(text):
        if word == "ARG" and not found:
            name, _, default = rest.partition("=")
            known.setdefault(name, default)
        elif word == "FROM":
            parts = re.sub(r"\$\{(\w+)\}", lambda match: known[match[1]], rest).split()
            found.append((parts[2] if len(parts) == 3 else "", parts[0], []))
        else:
            found[-1][2].append((word, rest))
    needed, wanted = [], [found[-1]]
    by_name = {name: stage for stage in found if (name := stage[0])}
    while wanted:
        stage = wanted.pop()
        needed.append(stage)
        names = [stage[1]] + re.findall(r"--from=(\w+)", " ".join(rest for _, rest in stage[2]))
        wanted += [by_name[name] for name in names if name in by_name]
    return [stage for stage in found if stage in needed]


def place(root, path):
    return root / path.lstrip("/")


def copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    # As the tool does it, with owners and rights.
    subprocess.run(["cp", "-a", f"{source}/." if source.is_dir() else source, target], check=True)


def carry_out(stage, roots, context, base, work, arguments):
    name, origin, body = stage
    root = roots.get(origin) or (base if origin != "scratch" else work / (name or "last"))
    root.mkdir(parents=True, exist_ok=True)
    variables, settings = {}, {}
    for word, rest in body:
        print(f"   {word} {rest}", file=sys.stderr)
        if word == "RUN":
            subprocess.run(["chroot", root, "/bin/sh", "-c", rest], check=True, stdout=sys.stderr)
        elif word == "COPY":
            source, target = [re.sub(r"\$\{(\w+)\}", lambda match: variables[match[1]], part) for part in rest.split()[-2:]]
            origin = re.match(r"--from=(\w+) ", rest)
            copy(place(roots[origin[1]], source) if origin else context / source, place(root, target))
        elif word == "ARG":
            key, _, default = rest.partition("=")
            variables[key] = arguments.get(key, default)
        elif word in ("CMD", "ENTRYPOINT"):
            settings[word] = json.loads(rest)
        elif word == "HEALTHCHECK":
            settings[word] = json.loads(rest.split("CMD", 1)[1])
        elif word == "ENV":
            settings.setdefault("ENV", []).append(rest)
        elif word in ("USER", "WORKDIR", "STOPSIGNAL", "EXPOSE", "VOLUME"):
            settings[word] = rest
        else:
            raise SystemExit(f"steps.py does not know {word}")
    if name:
        roots[name] = root
    return root, settings


def main():
    context, base, out = map(pathlib.Path, sys.argv[1:4])
    arguments = dict(argument.split("=", 1) for argument in sys.argv[4:])
    text = (context / "packaging/container/Containerfile").read_text()
    work, roots = out.with_name(out.name + ".stages"), {}
    for stage in stages(text, arguments):
        print(f"stage {stage[0] or 'last'}, from {stage[1]}", file=sys.stderr)
        root, settings = carry_out(stage, roots, context, base, work, arguments)
    shutil.rmtree(out, ignore_errors=True)
    root.rename(out)
    shutil.rmtree(work, ignore_errors=True)
    print(json.dumps(settings))


main()
