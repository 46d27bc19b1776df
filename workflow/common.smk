# The checked config. This file lies in workflow/ so that Snakemake puts that folder on the scripts' import path.
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from snakemake.exceptions import WorkflowError

HERE = str(workflow.current_basedir)
if not os.path.isdir(HERE):
    raise WorkflowError(
        "truemap's package is not where its rules are read from: clone it, and name a file in the clone."
    )
sys.path.insert(0, HERE)

# Python takes compiled code for that of any source with the same size and time stamp, and an edit may keep both.
for compiled in Path(HERE, "truemap").rglob("__pycache__/*.pyc"):
    source = compiled.parents[1] / f"{compiled.name.partition('.')[0]}.py"
    with suppress(FileNotFoundError, PermissionError):
        if source.stat().st_ctime_ns > compiled.stat().st_mtime_ns:
            compiled.unlink()

import truemap

if os.path.realpath(truemap.__path__[0]) != os.path.realpath(os.path.join(HERE, "truemap")):
    raise WorkflowError(f"another copy of truemap is loaded already ({truemap.__path__[0]}): use one at a time.")

from truemap.config.schema import ConfigError
from truemap.config.keys import refuse_repeated
from truemap.plan.record import scaled
from truemap.plan.plan import Plan
from truemap.plan.start import check_trained
from truemap.runtime.files import DataError
from truemap.runtime.privacy import SALT, shut, without_ids

if SALT.parent.is_dir():
    shut(SALT)
try:
    for file in workflow.configfiles:
        refuse_repeated(file)
    plan = Plan(config, os.path.dirname(HERE), gpu_present=shutil.which("nvidia-smi") is not None)
    check_trained(plan, plan.config.run)
except ConfigError as error:
    raise WorkflowError(str(error)) from None
except DataError as error:
    raise WorkflowError(without_ids(str(error))) from None

# What every page has in it, beside what it is made from.
assets = [plan.own(f"workflow/truemap/figures/assets/page.{kind}") for kind in ("css", "js")]


# Of no other dataset: what pages read of those is there, and nothing that this config makes.
wildcard_constraints:
    dataset=plan.running,
