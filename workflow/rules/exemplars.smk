# Which training maps predictions hang on, and attacks on that under which the prediction stays.


rule influence:
    input:
        weights=rules.model.output.weights,
        description=rules.model.output.description,
        grid=rules.grid.output[0],
        own_maps=plan.each("volumes", rules.volumes.output.maps, split="test"),
        own_tables=plan.each("volumes", rules.volumes.output.table, split="test"),
        train_maps=plan.each("volumes", rules.volumes.output.maps, split="train"),
        train_tables=plan.each("volumes", rules.volumes.output.table, split="train"),
    output:
        table="results/{dataset}/influence/{model}/seed-{seed}.parquet",
        example="results/{dataset}/influence/{model}/seed-{seed}.example.parquet",
    log:
        "logs/{dataset}/influence-{model}-{seed}.log",
    benchmark:
        "results/benchmarks/{dataset}/influence-{model}-{seed}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: plan.config.threads
    resources:
        gpu=plan.gpus,
        mem_mb=scaled(4000),
        runtime=scaled(120),
    params:
        **plan.params("influence"),
    script:
        "../scripts/influence.py"


rule influences:
    input:
        plan.each("influence", rules.influence.output.table),
    output:
        parquet="results/{dataset}/statistics/influence.parquet",
        tsv=report(
            "results/{dataset}/statistics/influence.tsv",
            caption="../report/influence.rst",
            category="{dataset}",
            labels={"what": "influential training maps"},
        ),
        pairs="results/{dataset}/statistics/influence_pairs.parquet",
        pairs_tsv="results/{dataset}/statistics/influence_pairs.tsv",
    log:
        "logs/{dataset}/influences.log",
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.params("influences"),
    script:
        "../scripts/influences.py"


rule figure_influence:
    input:
        summary=rules.influences.output.parquet,
        pairs=rules.influences.output.pairs,
        grid=rules.grid.output[0],
        example=plan.each("influence", rules.influence.output.example, "exemplified"),
    output:
        report(
            "results/{dataset}/figures/influence.png",
            caption="../report/influence-figure.rst",
            category="{dataset}",
            labels={"what": "influential training maps, before and after an attack"},
        ),
        "results/{dataset}/figures/influence.svg",
        "results/{dataset}/figures/influence.tsv",
        answers="results/{dataset}/statistics/influence_answers.tsv",
    log:
        "logs/{dataset}/figure-influence.log",
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.params("figure_influence"),
    script:
        "../scripts/figure_influence.py"
