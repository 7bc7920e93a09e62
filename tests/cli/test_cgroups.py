import pytest

from vae2ch.cli import cgroups

SELF, TREE = "proc/self/cgroup", "sys/fs/cgroup"
V1_NONE = str(2**63 - 4096)


def make(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({SELF: "0::/"}, None),
        ({SELF: "0::/", f"{TREE}/cpu.max": "max 100000"}, None),
        ({SELF: "0::/", f"{TREE}/cpu.max": "200000 100000"}, 2),  # in a container
        ({SELF: "0::/", f"{TREE}/cpu.max": "150000 100000"}, 2),
        ({SELF: "0::/", f"{TREE}/cpu.max": "5000 100000"}, 1),
        ({SELF: "0::/a/b", f"{TREE}/a/b/cpu.max": "max 100000", f"{TREE}/a/cpu.max": "300000 100000"}, 3),  # a parent
        ({SELF: "0::/a", f"{TREE}/a/cpu.max": "400000 100000", f"{TREE}/cpu.max": "300000 100000"}, 3),
        ({SELF: "0::/on/the/host", f"{TREE}/cpu.max": "200000 100000"}, 2),  # its path is not in the mount
        ({SELF: "0::/../../up", f"{TREE}/cpu.max": "200000 100000"}, 2),
        ({SELF: "0::/a:b", f"{TREE}/a:b/cpu.max": "200000 100000"}, 2),
        ({SELF: "0::/", f"{TREE}/cpu.max": "nonsense"}, None),
        ({SELF: "nonsense"}, None),
    ],
)
def test_cores_of_version_2(files, quota, tmp_path):
    assert cgroups.cpu_quota(make(tmp_path, files)) == quota


@pytest.mark.parametrize("folder", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize(("quota", "cores"), [("-1", None), ("250000", 3), ("100000", 1)])
@pytest.mark.parametrize("path", ["/", "/docker/1"])
def test_cores_of_version_1(folder, quota, cores, path, tmp_path):
    files = {
        SELF: f"9:memory:/other\n4:cpu,cpuacct:{path}\n0::/",
        f"{TREE}/{folder}/cpu.cfs_quota_us": quota,
        f"{TREE}/{folder}/cpu.cfs_period_us": "100000",
        f"{TREE}/memory/cpu.cfs_quota_us": "100000",
    }
    assert cgroups.cpu_quota(make(tmp_path, files)) == cores


@pytest.mark.parametrize(
    ("files", "available"),
    [
        ({SELF: "0::/", f"{TREE}/memory.max": "max", f"{TREE}/memory.current": "7"}, None),
        ({SELF: "0::/", f"{TREE}/memory.max": "1000", f"{TREE}/memory.current": "700"}, 300),
        ({SELF: "0::/", f"{TREE}/memory.max": "1000"}, None),
        ({SELF: "0::/a", f"{TREE}/a/memory.max": "50", f"{TREE}/a/memory.current": "70"}, 0),
        ({SELF: "4:memory:/a", f"{TREE}/memory/memory.limit_in_bytes": V1_NONE}, None),
        (
            {
                SELF: "4:memory:/a",
                f"{TREE}/memory/a/memory.limit_in_bytes": "1000",
                f"{TREE}/memory/a/memory.usage_in_bytes": "900",
                f"{TREE}/memory/a/memory.stat": "inactive_file 20\ntotal_inactive_file 50\nrss 800",
                f"{TREE}/memory/memory.limit_in_bytes": V1_NONE,
                f"{TREE}/memory/memory.usage_in_bytes": "5000",
            },
            150,
        ),
    ],
)
def test_memory(files, available, tmp_path):
    assert cgroups.available_memory(make(tmp_path, files)) == available
