"""nova-compute with a hypervisor of our own: Nova's fake one, which can be told to be slow or to fail.

What it is told are files in the folder that FAULTS names: `spawn_delay` and `resize_delay` hold seconds; `spawn_fail`,
`resize_fail` (at the source) and `finish_fail` (at the target) need only be there. FAKE_VCPUS and FAKE_RAM_MB are its size.
"""

import os
import sys
import time
import types

from nova import exception
from nova.cmd import compute
from nova.compute import power_state
from nova.virt import fake

NAME = "nova.virt.prescale_fake"


def waits(fault):
    """Waits for so long as a fault says, if it is there."""
    path = os.path.join(os.environ["FAULTS"], fault)
    if os.path.exists(path):
        with open(path) as seconds:
            time.sleep(float(seconds.read()))


def fails(fault):
    """Fails where a fault is there."""
    if os.path.exists(os.path.join(os.environ["FAULTS"], fault)):
        raise exception.NovaException(f"the test asks for this: {fault}")


class Driver(fake.FakeDriver):
    """The fake hypervisor, with faults."""

    vcpus = int(os.environ.get("FAKE_VCPUS", "16"))
    memory_mb = int(os.environ.get("FAKE_RAM_MB", "65536"))
    local_gb = 10_000
    capabilities = {**fake.FakeDriver.capabilities, "supports_migrate_to_same_host": True}

    def spawn(self, context, instance, *args, **kwargs):
        if instance.task_state == "spawning":
            waits("spawn_delay")
            fails("spawn_fail")
        return super().spawn(context, instance, *args, **kwargs)

    def migrate_disk_and_power_off(self, *args, **kwargs):
        waits("resize_delay")
        fails("resize_fail")
        return super().migrate_disk_and_power_off(*args, **kwargs)

    def finish_migration(self, *args, **kwargs):
        fails("finish_fail")
        return super().finish_migration(*args, **kwargs)

    def resume_state_on_host_boot(self, context, instance, network_info, block_device_info=None):
        """The guests of the fake are in its memory alone: after a restart all are there again."""
        self.instances[instance.uuid] = fake.FakeInstance(instance.name, power_state.RUNNING, instance.uuid)


if __name__ == "__main__":
    # Nova takes drivers from its own package alone.
    module = types.ModuleType(NAME)
    module.Driver = Driver
    sys.modules[NAME] = module
    sys.exit(compute.main())
