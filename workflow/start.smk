# What has to hold before the first job; included last, since it looks at what all rules make.
from snakemake.io import strip_wildcard_constraints as plain

from truemap.runtime import terminal, work
from truemap.runtime.files import DataError
from truemap.runtime.privacy import without_ids
from truemap.plan.start import Start

work.announce(plan.code.notes.hashed(), main=workflow.is_main_process)
plan.code.notes.keep()

# In another workflow (`module`) rules have other names and results other places: Snakemake's notes are all there is.
doors = [os.path.join(folder, "Snakefile") for folder in (HERE, os.path.dirname(HERE))]
if os.path.realpath(workflow.main_snakefile) in map(os.path.realpath, doors):
    try:
        work.check_config(plan.config.model_dump_json(), main=workflow.is_main_process)
        if workflow.is_main_process:
            terminal.attend(workflow.output_settings)
            plan.start = Start(
                plan,
                {rule.name: [plain(str(file)) for file in rule.output] for rule in workflow.rules},
                {rule.name: plain(str(rule.benchmark)) for rule in workflow.rules if rule.benchmark},
            )
            if plan.config.card and workflow.output_settings.dryrun and not workflow.output_settings.quiet:
                print(terminal.needed(config), file=sys.stderr)
    except DataError as error:
        raise WorkflowError(without_ids(str(error))) from None
    except OSError as error:
        reason = without_ids(str(error))
        raise WorkflowError(f"{reason}. Free space or mend permissions, then run again.") from None


onstart:
    # Under a limit of jobs a second each pass of Snakemake's scheduler (9.27) arms a timer that makes one more pass, which
    # arms the next: after some hundred jobs it takes a core. The default, which no machine reaches, goes; a user's stays.
    limit = workflow.scheduler.job_rate_limiter
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None


onsuccess:
    if plan.start:
        plan.start.end()
        if made := terminal.outcome(Path(rules.index.output[0]), Path(rules.claims.output.tsv)):
            print(made, file=sys.stderr)


onerror:
    if plan.start:
        plan.start.end()
