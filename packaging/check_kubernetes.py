"""Holds the manifests and the rendered chart to Kubernetes' own schemas, and writes every configuration that is in them into a folder.

check_kubernetes.py FOLDER: needs kubernetes-validate and helm-python-sdk (Helm's own code as a library) from PyPI.
"""

import pathlib
import sys

import helm_python
import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).parent
CHART = ROOT / "helm" / "salebridge"
# What is rendered: the chart as it comes, and with everything in it switched on.
WITH_ALL = {
    "store": "postgres",
    "replicas": 3,
    "config": {"trustedProxies": ["10.0.0.0/8"]},
    "ingress": {"enabled": True, "className": "nginx", "annotations": {"a": "b"}, "tlsSecret": "tls"},
    "imagePullSecrets": [{"name": "pull"}],
    "podAnnotations": {"c": "d"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "e", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
}
VERSIONS = ("1.30", "1.37")


def documents():
    for path in sorted(ROOT.glob("kubernetes/*/*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            yield f"{path.parent.name}-{path.stem}", document
    report = helm_python.lint(str(CHART), strict=True)
    assert not report["errors"], report
    with helm_python.Chart.load(CHART) as chart:
        for label, values in (("sqlite", {"persistence": {"storageClass": "fast"}}), ("postgres", WITH_ALL)):
            kinds = set()
            for template, text in chart.render(values, name="bridge", namespace="sales").items():
                for document in yaml.safe_load_all(text) if template.endswith(".yaml") else ():
                    if document:
                        kinds.add(document["kind"])
                        yield f"helm-{label}-{pathlib.Path(template).stem}", document
            more = {"PersistentVolumeClaim"} if label == "sqlite" else {"PodDisruptionBudget", "Ingress"}
            assert kinds == {"ConfigMap", "Deployment", "Service"} | more, (label, kinds)
        try:
            chart.render({"replicas": 2}, name="bridge")
        except helm_python.HelmError as error:
            assert "one SQLite file serves one bridge" in str(error), error
        else:
            raise AssertionError("two replicas on one file were rendered")


def main():
    folder, count = pathlib.Path(sys.argv[1]), 0
    for label, document in documents():
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)
        count += 1
        if document["kind"] == "ConfigMap":
            (folder / f"{label}.toml").write_text(document["data"]["config.toml"])
    print(f"{count} objects are what Kubernetes {' and '.join(VERSIONS)} take; Helm {helm_python.helm_sdk_version()}")


main()
