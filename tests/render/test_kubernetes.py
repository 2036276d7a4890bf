"""Manifests for Kubernetes: valid, strict, and with the same settings as compose.

No cluster runs here: a validator has the schemas of its interface, kustomize makes what kubectl
would send, and what the admission of pods refuses is written here again.
"""

import copy
import re
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import image_settings
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from session import SessionError

from support import debian
from tests.conftest import REPOSITORY
from tests.families import needed_by
from tests.render.questions import (
    PROJECT,
    TOOLS,
    Answers,
    check,
    choices,
    hooks_of_projects,
    label,
    load_compose,
)
from tests.render.test_image_settings import SETTINGS

ROWS = [
    {"kind": kind, "services": services, "deploy": "kubernetes"}
    for kind in choices()["kind"]
    for services in ("[]", "[postgres, redis]")
]
# Where the template of a pod is, by the kind of what makes pods of it.
PODS = {
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    "Deployment": ("spec", "template", "spec"),
    "Job": ("spec", "template", "spec"),
}
# Volumes that pods may have: https://kubernetes.io/docs/concepts/security/pod-security-standards/
VOLUMES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim"),
    *("projected", "secret"),
}
PROFILES = ("RuntimeDefault", "Localhost")
Manifest = dict[str, Any]


@pytest.fixture(scope="module", params=ROWS, ids=label)
def answers(request: pytest.FixtureRequest) -> Answers:
    """Return a kind of application and the services that it uses."""
    row: Answers = request.param
    return row


@pytest.fixture
def project(copied: Path) -> Path:
    """Return a copy of the project to change, and be there."""
    return copied


@pytest.fixture(scope="session")
def kustomize(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return Debian's kustomize, unpacked; kubectl has the same inside."""
    folder = tmp_path_factory.mktemp("kustomize")
    with needed_by("kustomize"):
        return debian.program("kustomize", ("trixie", "sid"), folder)


@pytest.fixture
def built(kustomize: Path, project: Path) -> Callable[[], list[Manifest]]:
    """Return a function that makes what "kubectl apply --kustomize" sends."""

    def build() -> list[Manifest]:
        command = [str(kustomize), "build", "kubernetes"]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return list(yaml.safe_load_all(done.stdout))

    return build


def manifests(project: Path) -> dict[str, Manifest]:
    """Return what each file says, by its name, but for kustomize's own."""
    return {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in sorted((project / "kubernetes").glob("*.yaml"))
        if path.stem != "kustomization"
    }


def validate(found: Iterable[Manifest]) -> None:
    """Compare manifests with the schemas that a project's hook takes; an unknown key is wrong."""
    for manifest in found:
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def pods(found: Iterable[Manifest]) -> list[Manifest]:
    """Return the specifications of all pods that manifests make."""
    specifications = []
    for manifest in found:
        pod = manifest
        for key in PODS.get(manifest["kind"], ()):
            pod = pod[key]
        if pod is not manifest:
            specifications.append(pod)
    return specifications


def refused(pod: Manifest) -> list[str]:
    """Return what the admission controller of a namespace would refuse, at level "restricted"."""
    found = [f"volume {volume}" for volume in pod["volumes"] if not volume.keys() & VOLUMES]
    found += [key for key in ("hostIPC", "hostNetwork", "hostPID", "hostUsers") if key in pod]
    outer = pod.get("securityContext", {})
    for container in pod["containers"] + pod.get("initContainers", []):
        inner = {**outer, **container.get("securityContext", {})}
        capabilities = inner.get("capabilities", {})
        allowed = {
            "escalation": inner.get("allowPrivilegeEscalation") is False,
            "capabilities": capabilities.get("drop") == ["ALL"]
            and set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
            "root": inner.get("runAsNonRoot") is True and inner.get("runAsUser") != 0,
            "privileged": not inner.get("privileged"),
            "seccomp": inner.get("seccompProfile", {}).get("type") in PROFILES,
            "ports": not any("hostPort" in port for port in container.get("ports", [])),
        }
        found += [name for name, holds in allowed.items() if not holds]
    return found


def uncomment(path: Path) -> None:
    """Remove the number signs before lines of YAML, as the comments above them say."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    offered = ("# - ", "# components:", "#   - ")
    path.write_text(
        "".join(
            line.replace("# ", "", 1) if line.lstrip().startswith(offered) else line
            for line in lines
        ),
        encoding="utf-8",
    )


def everything(project: Path) -> None:
    """Choose all that a project offers to be sent."""
    uncomment(project / "kubernetes/kustomization.yaml")
    (project / "kubernetes/authority/ca.pem").write_text("an authority\n")


@pytest.mark.parametrize("settings", [{}, SETTINGS, {"health": False}], ids=["none", "all", "off"])
def test_each_file_is_valid(project: Path, settings: dict[str, Any]) -> None:
    image_settings.write(settings, PROJECT)
    validate(manifests(project).values())


def test_a_fault_would_be_found(project: Path) -> None:
    manifest = manifests(project)["worker"]
    pods([manifest])[0]["containers"][0]["imagePullPolice"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        validate([manifest])


def test_the_hook_of_a_project_finds_it_too(project: Path) -> None:
    [hook] = [hook for hook in hooks_of_projects() if hook["id"] == "kubernetes-validate"]
    program, *options = hook["entry"].split()
    command = [str(TOOLS / program), *options]
    names = [f"kubernetes/{name}.yaml" for name in manifests(project)]
    assert subprocess.run([*command, *names], cwd=project, check=False).returncode == 0
    wrong = project / names[0]
    wrong.write_text(wrong.read_text(encoding="utf-8") + "more: true\n", encoding="utf-8")
    assert subprocess.run([*command, *names], cwd=project, check=False).returncode


def test_what_is_sent_at_first_is_the_application_alone(
    built: Callable[[], list[Manifest]], answers: Answers
) -> None:
    sent = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in built()}
    servers = {("Deployment", PROJECT), ("Service", PROJECT)}
    assert sent == (servers if answers["kind"] == "web" else {("CronJob", PROJECT)})


def test_all_that_is_offered_is_valid_and_strict(
    built: Callable[[], list[Manifest]], project: Path
) -> None:
    everything(project)
    image_settings.write(SETTINGS, PROJECT)
    sent = built()
    assert len(sent) >= 4
    validate(sent)
    assert [refused(pod) for pod in pods(sent)] == [[], [], []]


@pytest.mark.parametrize(
    ("where", "change", "found"),
    [
        ("pod", {"hostNetwork": True}, "hostNetwork"),
        ("pod", {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}, "volume"),
        ("context", {"runAsNonRoot": None}, "root"),
        ("context", {"seccompProfile": {}}, "seccomp"),
        ("container", {"allowPrivilegeEscalation": None}, "escalation"),
        ("container", {"capabilities": {}}, "capabilities"),
        ("container", {"privileged": True}, "privileged"),
        ("container", {"runAsUser": 0}, "root"),
    ],
    ids=str,
)
def test_a_pod_that_is_not_strict_would_be_found(
    project: Path, where: str, change: Manifest, found: str
) -> None:
    for pod in pods(manifests(project).values()):
        assert refused(pod) == []
        places = {
            "pod": pod,
            "context": pod["securityContext"],
            "container": pod["containers"][0]["securityContext"],
        }
        places[where].update(change)
        assert [each.split()[0] for each in refused(pod)] == [found]


def test_data_that_stays_is_a_patch_as_the_page_has_it(
    built: Callable[[], list[Manifest]], project: Path, answers: Answers
) -> None:
    page = (REPOSITORY / "docs/kubernetes.md").read_text(encoding="utf-8")
    [patch] = re.findall(r"^```yaml\n(patches:\n(?:.*\n)+?)```$", page, flags=re.MULTILINE)
    image_settings.write({"data": ["/uploads", "/tmp"]}, PROJECT)
    path = project / "kubernetes/kustomization.yaml"
    text = path.read_text(encoding="utf-8") + patch.replace("myapp", PROJECT)
    path.write_text(text, encoding="utf-8")
    if answers["kind"] == "web":
        sent = built()
        validate(sent)
        [pod] = pods(sent)
        kept = {volume["name"]: {*volume} - {"name"} for volume in pod["volumes"]}
        assert kept == {"tmp": {"emptyDir"}, "data-uploads": {"persistentVolumeClaim"}}
        assert refused(pod) == []


def test_a_folder_has_the_same_volume_whatever_is_declared_beside_it(project: Path) -> None:
    """Else a claim that was named for one would be mounted in another."""
    path = project / "kubernetes/worker.yaml"

    def places() -> dict[str, str]:
        [container] = pods([yaml.safe_load(path.read_text(encoding="utf-8"))])[0]["containers"]
        return {each["mountPath"]: each["name"] for each in container["volumeMounts"]}

    image_settings.write({"data": ["/srv/b"]}, PROJECT)
    before = places()
    image_settings.write({"data": ["/srv/a", "/srv/b", "/srv/B", "/ü"]}, PROJECT)
    after = places()
    assert {**after, **before} == after
    assert len({*after.values()}) == len(after) == 5
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", x) for x in after.values())


def test_an_authority_is_for_this_project_alone(
    built: Callable[[], list[Manifest]], project: Path
) -> None:
    """What else is sent with it is left as it is; processes of another kind have it, too."""
    everything(project)
    worker = manifests(project)["worker"]
    other = copy.deepcopy(worker)
    other["metadata"] = {"name": "other", "labels": {"app.kubernetes.io/name": "other"}}
    pods([other])[0]["containers"][0]["name"] = "other"
    spec = copy.deepcopy(worker["spec"]["template"]["spec"])
    job = {"template": {"spec": {**spec, "restartPolicy": "Never"}}}
    schedule = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {**worker["metadata"], "name": "nightly"},
        "spec": {"schedule": "0 0 * * *", "jobTemplate": {"spec": job}},
    }
    path = project / "kubernetes/kustomization.yaml"
    text = path.read_text(encoding="utf-8")
    for name, manifest in (("other", other), ("nightly", schedule)):
        (project / f"kubernetes/{name}.yaml").write_text(yaml.safe_dump(manifest))
        text = text.replace("resources:\n", f"resources:\n  - {name}.yaml\n")
    path.write_text(text, encoding="utf-8")
    sent = {manifest["metadata"]["name"]: manifest for manifest in built()}
    assert len(pods([sent["other"]])[0]["containers"]) == 1
    assert "authorities" not in str(sent["other"])
    assert "authorities" in str(sent["nightly"])


def test_a_migration_is_sent_with_what_it_needs(
    built: Callable[[], list[Manifest]], project: Path
) -> None:
    """By the selector of the page: its ConfigMap has another name after each change."""
    page = (REPOSITORY / "docs/kubernetes.md").read_text(encoding="utf-8")
    [chosen] = re.findall(r"--selector '(\S+) in \((\S+)\)'", page)
    everything(project)
    sent = [
        manifest["kind"]
        for manifest in built()
        if manifest["metadata"].get("labels", {}).get(chosen[0]) in chosen[1].split(",")
    ]
    assert sent == ["ConfigMap", "Job"]


@pytest.mark.parametrize("name", ["null", "true", "on", "n", f"a{'b' * 39}"])
@pytest.mark.parametrize("kind", choices()["kind"])
def test_any_name_is_text_in_short_lines(
    draft: Callable[..., Path], tmp_path: Path, name: str, kind: str
) -> None:
    asked = {"kind": kind, "deploy": "kubernetes", "services": "[postgres, redis]"}
    project = draft(tmp_path / "folder", project_name=name, **asked)
    validate(manifests(project).values())
    for manifest in manifests(project).values():
        assert manifest["metadata"]["labels"]["app.kubernetes.io/name"] == name
    check([str(TOOLS / "yamllint"), "--strict", "kubernetes"], project)


@pytest.mark.parametrize("kind", ["tool", "notebook"])
def test_a_kind_that_is_not_asked_has_no_manifests(
    draft: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    project = draft(tmp_path / "folder", kind=kind, deploy="kubernetes")
    assert not (project / "kubernetes").exists()
    assert "kubernetes" not in (project / ".pre-commit-config.yaml").read_text(encoding="utf-8")


def test_every_process_trusts_the_authority_that_is_given(
    built: Callable[[], list[Manifest]], project: Path
) -> None:
    everything(project)
    sent = built()
    [authorities] = [manifest for manifest in sent if manifest["kind"] == "ConfigMap"]
    assert authorities["data"] == {"ca.pem": "an authority\n"}
    for pod in pods(sent):
        [volume] = [volume for volume in pod["volumes"] if "configMap" in volume]
        assert volume["configMap"]["name"] == authorities["metadata"]["name"]
        [container] = pod["containers"]
        [mount] = [each for each in container["volumeMounts"] if each["name"] == volume["name"]]
        given = {each["name"]: each.get("value") for each in container["env"]}
        for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
            assert given[name] == f"{mount['mountPath']}/ca.pem"


def test_one_line_says_which_image_runs(built: Callable[[], list[Manifest]], project: Path) -> None:
    everything(project)
    digest = f"sha256:{'0' * 64}"
    path = project / "kubernetes/kustomization.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.count("newTag: latest") == 1
    path.write_text(text.replace("newTag: latest", f"digest: {digest}"), encoding="utf-8")
    images = {container["image"] for pod in pods(built()) for container in pod["containers"]}
    assert images == {f"registry.example.com/{PROJECT}@{digest}"}


def test_a_service_finds_the_pods_of_the_server_alone(project: Path, answers: Answers) -> None:
    found = manifests(project)
    names = {name: manifest["spec"] for name, manifest in found.items() if name != "service"}
    labels = {
        name: (spec.get("jobTemplate", {}).get("spec") or spec)["template"]["metadata"]["labels"]
        for name, spec in names.items()
    }
    for name, spec in names.items():
        assert spec.get("selector", {}).get("matchLabels", labels[name]) == labels[name]
    assert len({tuple(each.items()) for each in labels.values()}) == len(labels)
    if answers["kind"] == "web":
        assert found["service"]["spec"]["selector"] == labels["web"]
        [port] = found["service"]["spec"]["ports"]
        [container] = pods([found["web"]])[0]["containers"]
        assert port["targetPort"] in {each["name"] for each in container["ports"]}


@pytest.mark.parametrize("settings", [{}, SETTINGS], ids=["none", "all"])
def test_a_cluster_and_compose_have_the_same_settings(
    project: Path, answers: Answers, settings: dict[str, Any]
) -> None:
    """What compose runs as production, of which tests run, is what each pod is."""
    image_settings.write(settings, PROJECT)
    services = load_compose(project / "docker-compose.yml")["services"]
    production = services[f"{PROJECT}-production"]
    folders = {*production["tmpfs"], *(mount["target"] for mount in production["volumes"])}
    found = manifests(project)
    for pod in pods(found.values()):
        [container] = pod["containers"]
        context = container["securityContext"]
        assert {mount["mountPath"] for mount in container["volumeMounts"]} == folders
        assert {mount["name"] for mount in container["volumeMounts"]} == {
            volume["name"] for volume in pod["volumes"]
        }
        assert all(volume["emptyDir"] == {} for volume in pod["volumes"])
        assert context["readOnlyRootFilesystem"] is production["read_only"] is True
        assert context["capabilities"]["drop"] == production["cap_drop"]
        assert (not context["allowPrivilegeEscalation"]) == (
            "no-new-privileges:true" in production["security_opt"]
        )
        is_root = production["user"].partition(":")[0] in ("0", "root")
        assert pod["securityContext"]["runAsNonRoot"] is not is_root
        variables = {each["name"] for each in container.get("env", [])}
        assert variables == set(production.get("environment", {}))
        assert container["image"] == production["image"].partition(":")[0]
    if answers["kind"] == "web":
        [container] = pods([found["web"]])[0]["containers"]
        served = [port["target"] for port in production["ports"]]
        assert [port["containerPort"] for port in container["ports"]] == served


@pytest.mark.parametrize(
    ("settings", "path"),
    [({}, "/healthz"), (SETTINGS, SETTINGS["health"]), ({"health": False}, None)],
    ids=["none", "all", "off"],
)
def test_probes_ask_what_the_health_check_of_the_image_asks(
    project: Path, answers: Answers, settings: dict[str, Any], path: str | None
) -> None:
    image_settings.write(settings, PROJECT)
    for name, manifest in manifests(project).items():
        for pod in pods([manifest]):
            [container] = pod["containers"]
            probes = {key: value for key, value in container.items() if key.endswith("Probe")}
            is_asked = name == "web" and path is not None
            assert len(probes) == (3 if is_asked else 0)
            assert all(probe["httpGet"]["path"] == path for probe in probes.values())
    assert ("web" in manifests(project)) == (answers["kind"] == "web")


def test_a_manifest_of_ones_own_stays_as_it_is(project: Path) -> None:
    """One with the marked lines is written, one without them is not, however it is made."""
    text = (project / "kubernetes/worker.yaml").read_text(encoding="utf-8")
    begin, end = text.index(image_settings.BEGIN), text.index(image_settings.END)
    (project / "kubernetes/mails.yaml").write_text(text, encoding="utf-8")
    (project / "kubernetes/own.yaml").write_text(text[:begin] + text[end + 40 :], encoding="utf-8")
    before = (project / "kubernetes/own.yaml").read_bytes()
    image_settings.write(SETTINGS, PROJECT)
    assert (project / "kubernetes/own.yaml").read_bytes() == before
    written = (project / "kubernetes/mails.yaml").read_bytes()
    assert written == (project / "kubernetes/worker.yaml").read_bytes()


@pytest.mark.parametrize("count", [0, 2], ids=["one is missing", "twice"])
def test_marked_lines_that_are_not_whole_are_refused(project: Path, count: int) -> None:
    path = project / "kubernetes/worker.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(image_settings.END, image_settings.END + "x") + text * count)
    before = path.read_bytes()
    with pytest.raises(SessionError, match=r"^kubernetes/worker.yaml has not one of each"):
        image_settings.write(SETTINGS, PROJECT)
    assert path.read_bytes() == before


def test_lines_are_marked_at_any_depth(project: Path) -> None:
    path = project / "kubernetes/worker.yaml"
    text = path.read_text(encoding="utf-8").replace(image_settings.END, f"    {image_settings.END}")
    path.write_text(text, encoding="utf-8")
    image_settings.write(SETTINGS, PROJECT)
    assert SETTINGS["data"][0] in path.read_text(encoding="utf-8")


def test_a_server_without_the_marked_lines_is_not_passed_over(project: Path) -> None:
    (project / "kubernetes/web.yaml").write_text("kind: Deployment\n")
    with pytest.raises(SessionError, match=r"kubernetes/web.yaml lacks the lines"):
        image_settings.check({"port": 9000}, PROJECT)
