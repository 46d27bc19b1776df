# Angles between what changes a score and what changes its map, and the same of losses and influences.


rule angles:
    input:
        weights=rules.model.output.weights,
        description=rules.model.output.description,
        grid=rules.grid.output[0],
        train_maps=plan.each("volumes", rules.volumes.output.maps, split="train"),
        train_tables=plan.each("volumes", rules.volumes.output.table, split="train"),
        validation_maps=plan.each("volumes", rules.volumes.output.maps, split="validation"),
        validation_tables=plan.each("volumes", rules.volumes.output.table, split="validation"),
        test_maps=plan.each("volumes", rules.volumes.output.maps, split="test"),
        test_tables=plan.each("volumes", rules.volumes.output.table, split="test"),
    output:
        "results/{dataset}/angles/{model}/seed-{seed}.parquet",
    log:
        "logs/{dataset}/angles-{model}-{seed}.log",
    benchmark:
        "results/benchmarks/{dataset}/angles-{model}-{seed}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: plan.config.threads
    resources:
        gpu=plan.gpus,
        mem_mb=scaled(4000),
        runtime=scaled(720),
    params:
        **plan.params("angles"),
        # As of `train`.
        checkpoint="results/{dataset}/.checkpoints/angles/{model}/seed-{seed}.safetensors",
    script:
        "../scripts/angles.py"


rule angle_summary:
    input:
        plan.each("angles", rules.angles.output[0]),
    output:
        parquet="results/{dataset}/statistics/angles.parquet",
        tsv=report(
            "results/{dataset}/statistics/angles.tsv",
            caption="../report/angles.rst",
            category="{dataset}",
            labels={"what": "angles of directions"},
        ),
        answers="results/{dataset}/statistics/angles_answers.tsv",
    log:
        "logs/{dataset}/angle_summary.log",
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.params("angle_summary"),
    script:
        "../scripts/angle_summary.py"


rule figure_angles:
    input:
        plan.each("angles", rules.angles.output[0]),
    output:
        report(
            "results/{dataset}/figures/angles.png",
            caption="../report/angles-figure.rst",
            category="{dataset}",
            labels={"what": "angles of directions, histograms"},
        ),
        "results/{dataset}/figures/angles.svg",
        "results/{dataset}/figures/angles.tsv",
    log:
        "logs/{dataset}/figure-angles.log",
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.params("figure_angles"),
    script:
        "../scripts/figure_angles.py"
