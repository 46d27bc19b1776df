# The door to workflow/Snakefile, for those who call Snakemake in this folder.
include: "workflow/Snakefile"


# What is included sets no default target; a workflow that uses this as a module may have its own.
if not workflow.default_target and rules.has("all"):
    workflow.default_target = rules.all.rule.name
