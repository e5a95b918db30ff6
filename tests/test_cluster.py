"""Which process of how many this is, as JAX finds it in what a launcher has set; and whether processes are alike."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import jax
import pytest
from jax._src.clusters import cloud_tpu_cluster, k8s_cluster
from jax._src.clusters import cluster as detection

from toynet import cluster
from toynet.cluster import Place, detected
from toynet.errors import UsageError

LAUNCHED = ("OMPI_", "PMIX_", "SLURM_", "KUBERNETES_", "JOB_COMPLETION_INDEX", "TPU_", "MEGASCALE_", "JAX_COORDINATOR")


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ, cluster.LOCAL_DEVICES]:
        if name.startswith((*LAUNCHED, cluster.LOCAL_DEVICES)):
            monkeypatch.delenv(name, raising=False)


def found(coordinator: str | None = None, processes: int | None = None, process_id: int | None = None) -> Place:
    return detected(coordinator, processes, process_id, 60.0)


# What `srun -n 4` of Slurm 22.05 sets, over two nodes, for the fourth task.
SLURM = {
    "SLURM_JOB_ID": "17",
    "SLURM_STEP_NODELIST": "node[07-08]",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NUM_NODES": "2",
}
# What `mpirun -n 2` of Open MPI 4.1 sets, for the second process.
OPEN_MPI = {
    "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
}


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_slurm_is_found_by_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, SLURM)
    # Jobs have ports of their own, the uppermost 2**12, and a process the device of its number on its host.
    assert found() == Place("node07", 2**16 - 2**12 + 17, 4, 3, (1,))


def test_open_mpi_is_found_by_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, OPEN_MPI)
    job = 1531576320 // 2**12 % 2**12
    assert found() == Place("10.96.0.1", 2**16 - 2**12 + job, 2, 1, (1,))


def test_mpirun_in_a_job_of_slurm_is_found_before_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {**SLURM, **OPEN_MPI})
    assert found().host == "10.96.0.1"


def test_what_is_told_by_hand_stands_before_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, SLURM)
    assert found("other:80", 2, 1) == Place("other", 80, 2, 1, (1,))
    monkeypatch.setenv("JAX_COORDINATOR_PORT", "4321")
    assert found().address == "node07:4321"
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "named:81")
    monkeypatch.setenv("JAX_LOCAL_DEVICE_IDS", "0,1")
    assert found() == Place("named", 81, 4, 3, (0, 1))


def test_no_cluster_is_the_users_error() -> None:
    with pytest.raises(
        UsageError, match=r"--distributed auto finds no cluster here: start it by srun, mpirun, .*by hand"
    ):
        found()
    with pytest.raises(UsageError, match="finds no cluster here"):
        found("node1:80", 2, None)


def test_a_jax_that_detects_nothing_as_this_one_does_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax._src.clusters", None)
    with pytest.raises(UsageError, match=r"^--distributed auto failed: .*clusters.*; give --coordinator, .* by hand\."):
        found()


def test_a_launcher_that_says_too_little_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # What a batch script has of a job of two tasks, and what Open MPI 5 has left of 4's variables.
    set_all(monkeypatch, {"SLURM_JOB_ID": "17", "SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"})
    with pytest.raises(UsageError, match=r"finds no cluster here \(a job of Slurm, but this wasn't started by srun"):
        found()
    set_all(monkeypatch, {name: value for name, value in OPEN_MPI.items() if "COMM_WORLD" in name})
    with pytest.raises(UsageError, match=r"finds no cluster here \(mpirun of Open MPI 5 doesn't say where rank 0 is"):
        found()


def test_variables_that_make_no_sense_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {**OPEN_MPI, "OMPI_MCA_orte_hnp_uri": "1531576320.0;usock"})
    with pytest.raises(UsageError, match=r"--distributed auto failed: Could not parse coordinator IP .*; give --coord"):
        found()
    set_all(monkeypatch, {**OPEN_MPI, "OMPI_COMM_WORLD_RANK": "one"})
    with pytest.raises(UsageError, match=r"--distributed auto failed: invalid literal for int"):
        found()


class Api:
    """What of Kubernetes' API the detection asks: the pod, its job, and the services beside it."""

    def __init__(self, subdomain: str | None, labels: dict[str, str]) -> None:
        owner = SimpleNamespace(controller=True, kind="Job")
        metadata = SimpleNamespace(name="train-1-x", labels={"job-name": "train"}, owner_references=[owner])
        self.pod = SimpleNamespace(metadata=metadata, spec=SimpleNamespace(subdomain=subdomain))
        self.job = SimpleNamespace(
            metadata=SimpleNamespace(name="train", labels=labels), spec=SimpleNamespace(parallelism=4)
        )

    def list_namespaced_pod(self, namespace: str, field_selector: str) -> Any:
        assert (namespace, field_selector) == ("team", "status.podIP=10.0.0.7")
        return SimpleNamespace(items=[self.pod])

    def list_namespaced_service(self, namespace: str) -> Any:
        return SimpleNamespace(items=[])

    def read_namespaced_job(self, name: str, namespace: str) -> Any:
        assert (name, namespace) == ("train", "team")
        return self.job


def _forget_pods() -> None:
    for name in ("_pod", "_job", "_headless_svc", "_controller"):
        getattr(k8s_cluster.K8sCluster, name).cache_clear()


@pytest.fixture
def _in_a_pod(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "2")
    monkeypatch.setenv("HOSTNAME", "train-2")
    monkeypatch.setattr(k8s_cluster.K8sCluster, "_namespace", lambda: "team")
    monkeypatch.setattr(socket, "gethostbyname", lambda _: "10.0.0.7")
    monkeypatch.setattr("time.sleep", lambda _: None)
    _forget_pods()
    yield
    _forget_pods()


def kubernetes(monkeypatch: pytest.MonkeyPatch, subdomain: str | None, labels: dict[str, str]) -> None:
    """Stands for the package of that name."""
    api = Api(subdomain, labels)
    client = SimpleNamespace(
        CoreV1Api=lambda: api, BatchV1Api=lambda: api, exceptions=SimpleNamespace(ApiException=PermissionError)
    )
    config = SimpleNamespace(load_incluster_config=lambda: None)
    monkeypatch.setitem(sys.modules, "kubernetes", SimpleNamespace(client=client, config=config))  # pyright: ignore
    for name in ("_core_api", "_batch_api", "_ApiException"):
        monkeypatch.setattr(k8s_cluster.K8sCluster, name, None, raising=False)


@pytest.mark.usefixtures("_in_a_pod")
def test_a_pod_of_an_indexed_job_is_found_by_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    kubernetes(monkeypatch, "pods", {})
    assert found() == Place("train-0.pods", 55527, 4, 2)


@pytest.mark.usefixtures("_in_a_pod")
def test_a_pod_of_a_jobset_is_found_by_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    kubernetes(monkeypatch, None, {"jobset.sigs.k8s.io/jobset-name": "toynet"})
    assert found() == Place("train-0.toynet", 55527, 4, 2)


@pytest.mark.usefixtures("_in_a_pod")
def test_a_job_whose_pods_have_no_names_or_no_numbers_is_told_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    kubernetes(monkeypatch, None, {})
    with pytest.raises(UsageError, match="failed: Pods within a job need a headless service"):
        found()
    _forget_pods()
    kubernetes(monkeypatch, "pods", {})
    monkeypatch.delenv("JOB_COMPLETION_INDEX")
    with pytest.raises(UsageError, match="jobs must be indexed"):
        found()


@pytest.mark.usefixtures("_in_a_pod")
def test_a_pod_without_the_package_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(UsageError, match=r"finds no cluster here \(Kubernetes environment detected, but the `kuber"):
        found()


@pytest.fixture
def _on_a_tpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (detection, cloud_tpu_cluster):
        monkeypatch.setattr(module, "running_in_cloud_tpu_vm", True)
    monkeypatch.setattr(socket, "gethostbyname", lambda _: "10.0.0.7")
    for name in ("COORDINATOR_ADDRESS", "NUM_SLICES", "SLICE_ID"):
        monkeypatch.setenv(f"MEGASCALE_{name}", "")


@pytest.mark.usefixtures("_on_a_tpu")
def test_a_host_of_a_cloud_tpu_is_found_by_its_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"agent-worker-number": "1", "worker-network-endpoints": "unknown:8470:10.164.0.7,unknown:8470:10.164.0.8"}
    monkeypatch.setattr(cloud_tpu_cluster, "get_metadata", lambda key: (told[key], 200))
    assert found() == Place("10.164.0.7", 8482, 2, 1)  # all chips of the host are its own


@pytest.mark.usefixtures("_on_a_tpu")
def test_a_pod_on_a_tpu_of_two_slices_is_found_by_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    multislice = {"COORDINATOR_ADDRESS": "job-0-0.svc:8080", "NUM_SLICES": "2", "SLICE_ID": "1"}
    set_all(monkeypatch, {f"MEGASCALE_{name}": value for name, value in multislice.items()})
    workers = {"TPU_SKIP_MDS_QUERY": "1", "TPU_WORKER_HOSTNAMES": "job-1-0.svc,job-1-1.svc", "TPU_WORKER_ID": "1"}
    set_all(monkeypatch, workers)
    assert found() == Place("job-0-0.svc", 8482, 4, 3)


def test_a_process_keeps_to_the_gpus_that_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: dict[str, str] = {}
    monkeypatch.setattr(jax.config, "update", set_to.__setitem__)
    cluster.keep_to_own_devices()
    assert set_to == {}
    monkeypatch.setenv("JAX_LOCAL_DEVICE_IDS", "1,3")
    cluster.keep_to_own_devices()
    assert set_to == {"jax_cuda_visible_devices": "1,3", "jax_rocm_visible_devices": "1,3"}


@pytest.mark.parametrize(("loopback", "bound"), [(True, "127.0.0.1:81"), (False, None)])
def test_a_case_joins_jax_by_what_it_is_told_and_looks_for_no_cluster(
    monkeypatch: pytest.MonkeyPatch, loopback: bool, bound: str | None
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(jax.config, "update", asked.__setitem__)
    monkeypatch.setattr(jax.distributed, "initialize", lambda **how: asked.update(how))
    cluster.join(cluster.Joined("node1:81", 2, 1, 30.4, loopback))
    assert asked == {
        "jax_enable_preemption_service": False,
        "coordinator_address": "node1:81",
        "num_processes": 2,
        "process_id": 1,
        "cluster_detection_method": "deactivate",
        "initialization_timeout": 30,
        "heartbeat_timeout_seconds": 30,
        "coordinator_bind_address": bound,
    }
