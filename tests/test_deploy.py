"""deploy/: manifests keep to the schemas that Kubernetes and JobSet publish, and scripts run what they say."""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from documents import ROOT, understood
from kubeflow_trainer_api import models

DEPLOY = ROOT / "deploy"
JOBSET, JOB, CLAIM = DEPLOY / "jobset.yaml", DEPLOY / "job.yaml", DEPLOY / "results-claim.yaml"
KINDS = {
    ("jobset.x-k8s.io/v1alpha2", "JobSet"): models.JobsetV1alpha2JobSet,
    ("batch/v1", "Job"): models.IoK8sApiBatchV1Job,
    ("v1", "Service"): models.IoK8sApiCoreV1Service,
    ("v1", "PersistentVolumeClaim"): models.IoK8sApiCoreV1PersistentVolumeClaim,
}
RECORD = Path("results/toynet-bench.json")
BOTH = pytest.mark.parametrize("file", [JOBSET, JOB], ids=lambda file: file.name)
# These are written as their value; their models wrap it.
VALUES = {"IoK8sApimachineryPkgApiResourceQuantity", "IoK8sApimachineryPkgUtilIntstrIntOrString"}


def documents(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def without_null(node: Any) -> Any:
    """A schema in which what may be left out can't be null instead: Kubernetes' own has no such thing."""
    if isinstance(node, list):
        return [without_null(one) for one in node]
    if not isinstance(node, dict):
        return node
    others = [kind for kind in node.get("anyOf", []) if kind != {"type": "null"}]
    return without_null(others[0]) if len(others) == 1 else {key: without_null(node[key]) for key in node}


@functools.cache
def schema(api: str, kind: str) -> jsonschema.Draft202012Validator:
    """As its project publishes it, and with no other fields than it names."""
    whole = without_null(KINDS[api, kind].model_json_schema())
    for name, part in whole["$defs"].items():
        if name in VALUES:
            whole["$defs"][name] = {"type": ["string", "integer"]}
        else:
            part.setdefault("additionalProperties", False)
    whole |= {"additionalProperties": False, "required": ["apiVersion", "kind", "metadata", "spec"]}
    return jsonschema.Draft202012Validator(whole)


def kinds(text: str) -> list[str]:
    """Of the documents in it; raises ValidationError for one that its kind doesn't allow, KeyError for another kind."""
    documents = list(yaml.safe_load_all(text))
    for document in documents:
        schema(document["apiVersion"], document["kind"]).validate(document)
    return [document["kind"] for document in documents]


def job_spec(file: Path) -> dict[str, Any]:
    """Of the indexed Job in it."""
    *_, last = documents(file)
    return last["spec"]["replicatedJobs"][0]["template"]["spec"] if last["kind"] == "JobSet" else last["spec"]


def pod_spec(file: Path) -> dict[str, Any]:
    return job_spec(file)["template"]["spec"]


def container(file: Path) -> dict[str, Any]:
    (only,) = pod_spec(file)["containers"]
    return only


def environment(file: Path) -> dict[str, str]:
    """Of its container, what it is set to; of a field of the pod, the field."""
    return {
        variable["name"]: variable.get("value") or variable["valueFrom"]["fieldRef"]["fieldPath"]
        for variable in container(file)["env"]
    }


@pytest.mark.parametrize(
    ("file", "expected"),
    [(JOBSET, ["JobSet"]), (JOB, ["Service", "Job"]), (CLAIM, ["PersistentVolumeClaim"])],
    ids=lambda value: getattr(value, "name", ""),
)
def test_manifests_keep_to_the_published_schemas(file: Path, expected: list[str]) -> None:
    assert kinds(file.read_text(encoding="utf-8")) == expected


@pytest.mark.parametrize(
    ("file", "right", "wrong", "reason"),
    [
        (JOBSET, "completionMode:", "completionsMode:", "'completionsMode' was unexpected"),
        (JOBSET, "            volumes:", "          volumes:", "'volumes' was unexpected"),
        (JOBSET, "  - name: process\n    replicas: 1", "  - replicas: 1", "'name' is a required property"),
        (JOBSET, "      action: FailJobSet\n", "", "'action' is a required property"),
        (JOBSET, "maxRestarts: 3", "maxRestarts: three", "'three' is not of type 'integer'"),
        (JOBSET, "parallelism: 2", 'parallelism: "2"', "'2' is not of type 'integer'"),
        (JOB, "clusterIP: None", "clusterIp: None", "'clusterIp' was unexpected"),
        (JOB, "        volumeMounts:", "      volumeMounts:", "'volumeMounts' was unexpected"),
        (JOB, "containerPort: 8476", "protocol: TCP", "'containerPort' is a required property"),
        (JOB, "backoffLimitPerIndex: 3", "backoffLimitPerIndex:", "None is not of type 'integer'"),
        (CLAIM, "[ReadWriteMany]", "ReadWriteMany", "'ReadWriteMany' is not of type 'array'"),
        (CLAIM, "metadata:\n  name: toynet-bench-results\n", "", "'metadata' is a required property"),
    ],
)
def test_a_manifest_that_does_not_is_found(file: Path, right: str, wrong: str, reason: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert right in text
    with pytest.raises(jsonschema.ValidationError, match=re.escape(reason)):
        kinds(text.replace(right, wrong, 1))


@BOTH
def test_as_many_pods_run_at_once_as_each_is_told_of(file: Path) -> None:
    job = job_spec(file)
    assert job["completionMode"] == "Indexed"
    assert job["parallelism"] == job["completions"] == int(environment(file)["PROCESSES"])


@BOTH
def test_pods_reach_the_first_by_its_name(file: Path) -> None:
    """Which Kubernetes makes of the Job's name, the pod's index and the Service's name."""
    first, last = documents(file)[0], documents(file)[-1]
    name = environment(file)["COORDINATOR"]
    if last["kind"] == "JobSet":
        assert name == "metadata.annotations['jobset.sigs.k8s.io/coordinator']"
        (replicated,) = last["spec"]["replicatedJobs"]
        assert last["spec"]["coordinator"] == {"replicatedJob": replicated["name"], "jobIndex": 0, "podIndex": 0}
        assert last["spec"]["network"] == {"enableDNSHostnames": True, "publishNotReadyAddresses": True}
        assert replicated["replicas"] == 1
    else:
        service = first["metadata"]["name"]
        assert name == f"{last['metadata']['name']}-0.{service}"
        assert pod_spec(file)["subdomain"] == service
        assert first["spec"]["selector"] == {"job-name": last["metadata"]["name"]}
        assert (first["spec"]["clusterIP"], first["spec"]["publishNotReadyAddresses"]) == ("None", True)


@BOTH
def test_pods_have_whole_cores_a_node_each_and_no_rights(file: Path) -> None:
    pod = pod_spec(file)
    resources = container(file)["resources"]
    assert resources["requests"] == resources["limits"]
    assert re.fullmatch(r"\d+", resources["limits"]["cpu"])
    (apart,) = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert apart["topologyKey"] == "kubernetes.io/hostname"
    assert apart["labelSelector"]["matchLabels"] == job_spec(file)["template"]["metadata"]["labels"]
    assert not pod["automountServiceAccountToken"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["restartPolicy"] == "Never"  # without which Kubernetes takes no podFailurePolicy


@BOTH
def test_records_lie_in_the_claim(file: Path) -> None:
    (volume,), (mount,) = pod_spec(file)["volumes"], container(file)["volumeMounts"]
    assert volume["name"] == mount["name"]
    assert volume["persistentVolumeClaim"]["claimName"] == documents(CLAIM)[0]["metadata"]["name"]
    (folder,) = [words[1] for words in instructions() if words[0] == "WORKDIR" and words[1] != "/opt/toynet-bench"]
    assert Path(folder) / RECORD.parent == Path(mount["mountPath"])


@BOTH
def test_pods_begin_a_record_and_go_on_with_it_if_started_anew(file: Path, tmp_path: Path) -> None:
    shell, *command = container(file)["command"]
    assert shell == "sh"
    given = container(file)["args"]
    told = {"COORDINATOR": "first", "PROCESSES": "2", "JOB_COMPLETION_INDEX": "1"}
    (port,) = (port["containerPort"] for port in container(file)["ports"])
    joined = ["--coordinator", f"first:{port}", "--processes", "2", "--process-id", "1", "--time-limit", "300"]
    run = ["-m", "bench", "run", *joined]
    called = functools.partial(ran, *command, *given, stand_in="python", folder=tmp_path, **told)
    assert called() == [*run, "--out", str(RECORD), *given]
    understood(shlex.join(["python", *called()]))
    (tmp_path / RECORD).parent.mkdir()
    (tmp_path / RECORD).touch()
    assert called() == [*run, "--resume", str(RECORD)]
    understood(shlex.join(["python", *called()]))


def instructions() -> list[list[str]]:
    """The Dockerfile's, as words."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [line.split() for line in text.replace("\\\n", " ").splitlines() if line]


def test_an_image_has_what_is_installed_and_nothing_else() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    copied = [word for words in instructions() if words[0] == "COPY" for word in words[1:-1]]
    assert ignored == ["*", *(f"!{name}" for name in copied), "**/__pycache__"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {package.partition(".")[0] for package in project["tool"]["setuptools"]["packages"]}
    assert needed | {"pyproject.toml", "constraints.txt", project["project"]["readme"], "LICENSE"} == set(copied)
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.parametrize(("extras", "installed"), [("", "."), ("cuda", ".[cuda]"), ("cuda,dev", ".[cuda,dev]")])
def test_an_image_installs_the_extras_that_it_is_built_with(extras: str, installed: str) -> None:
    (run,) = [words[1:] for words in instructions() if words[0] == "RUN"]
    (pip,) = re.findall(r"python -m pip install (.*?) &&", " ".join(run))
    done = subprocess.run(["sh", "-c", f"echo {pip}"], env={"EXTRAS": extras}, capture_output=True, text=True)
    assert done.stdout.split() == ["--no-cache-dir", "--constraint", "constraints.txt", installed]


def test_an_image_runs_bench_as_the_user_that_pods_have() -> None:
    last = {words[0]: " ".join(words[1:]) for words in instructions()}
    assert last["ENTRYPOINT"] == '["python", "-m", "bench"]'
    assert {int(last["USER"])} == {pod_spec(file)["securityContext"]["runAsUser"] for file in (JOB, JOBSET)}
    assert f"--uid {last['USER']}" in last["RUN"]


def ran(*arguments: str | Path, stand_in: str, folder: Path, **variables: str) -> list[str]:
    """The words with which a shell calls the program that `stand_in` stands for, in that folder."""
    program = folder / stand_in
    program.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
    program.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", *arguments],
        env={**os.environ, "PATH": path, **variables},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\0")[:-1]


def test_a_job_of_slurm_begins_a_record_and_goes_on_with_it_if_queued_again(tmp_path: Path) -> None:
    job = {"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "8"}
    given = ["--modes", "single"]
    called = functools.partial(ran, DEPLOY / "slurm.sbatch", *given, stand_in="srun", folder=tmp_path, **job)
    record = "results/slurm-7.json"
    words = called()
    start = words.index(".venv/bin/python") + 1
    assert words[: start - 1] == ["--cpus-per-task=8", "--kill-on-bad-exit=0", "--wait=120"]
    run = ["-m", "bench", "run", "--distributed", "auto"]
    assert words[start:] == [*run, "--out", record, *given]
    understood(shlex.join(["python", *words[start:]]))
    (tmp_path / "results").mkdir()
    (tmp_path / record).touch()
    assert called()[start:] == [*run, "--resume", record]
    understood(shlex.join(["python", *called()[start:]]))


def test_a_command_for_a_cloud_tpu_is_run_on_all_its_hosts_as_it_was_given(tmp_path: Path) -> None:
    words = ran(DEPLOY / "cloud-tpu.sh", "slice", "zone-a", "--modes", "a b", stand_in="gcloud", folder=tmp_path)
    *ssh, command = words
    assert ssh == ["compute", "tpus", "tpu-vm", "ssh", "slice", "--zone=zone-a", "--worker=all"]
    folder, _, run = command.removeprefix("--command=").partition(" && ")
    assert folder == "cd toynet-bench"
    program, *rest = shlex.split(run)
    assert program == ".venv/bin/python"
    assert rest == ["-m", "bench", "run", "--distributed", "auto", "--modes", "a b"]


def test_a_command_for_a_cloud_tpu_needs_no_flags_but_its_name_and_zone(tmp_path: Path) -> None:
    *_, command = ran(DEPLOY / "cloud-tpu.sh", "slice", "zone-a", stand_in="gcloud", folder=tmp_path)
    assert command.endswith("run --distributed auto")
    done = subprocess.run(["bash", DEPLOY / "cloud-tpu.sh", "slice"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")
