# The checked config. This file lies in workflow/ so that Snakemake puts that folder on the scripts' import path.
import os
import shutil
import sys

sys.path.insert(0, os.path.join(workflow.basedir, "workflow"))

from snakemake.exceptions import WorkflowError

from truemap.config import ConfigError
from truemap.params import scaled
from truemap.plan import Plan

try:
    plan = Plan(config, workflow.basedir, gpu_present=shutil.which("nvidia-smi") is not None)
except ConfigError as error:
    raise WorkflowError(str(error)) from None
