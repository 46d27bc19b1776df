# Attacks on maps under which the prediction stays, and what they come to.


rule attack_maps:
    input:
        weights=rules.model.output.weights,
        description=rules.model.output.description,
        grid=rules.grid.output[0],
        truth=rules.truth.output[0],
        background=plan.each("background", rules.background.output[0]),
        shapley=plan.compared(rules.shapley.output[0]),
        regions=plan.compared(rules.regions.output.image),
        names=plan.compared(rules.regions.output.table),
        own_maps=plan.each("volumes", rules.volumes.output.maps, split="test"),
        own_tables=plan.each("volumes", rules.volumes.output.table, split="test"),
        train_maps=plan.each("volumes", rules.volumes.output.maps, split="train"),
        train_tables=plan.each("volumes", rules.volumes.output.table, split="train"),
    output:
        "results/{dataset}/fragility/{model}/seed-{seed}/{method}/{attack}.parquet",
        example="results/{dataset}/fragility/{model}/seed-{seed}/{method}/{attack}.example.parquet",
    log:
        "logs/{dataset}/attack_maps-{model}-{seed}-{method}-{attack}.log",
    benchmark:
        "results/benchmarks/{dataset}/attack_maps-{model}-{seed}-{method}-{attack}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: plan.config.threads
    resources:
        gpu=plan.gpus,
        mem_mb=scaled(4000),
        runtime=scaled(480),
    params:
        **plan.params("attack_maps"),
    script:
        "../scripts/attack_maps.py"


rule fragility:
    input:
        plan.each("attack_maps", rules.attack_maps.output[0]),
    output:
        parquet="results/{dataset}/statistics/fragility.parquet",
        tsv=report(
            "results/{dataset}/statistics/fragility.tsv",
            caption="../report/fragility.rst",
            category="{dataset}",
            labels={"what": "attacked maps"},
        ),
        pairs="results/{dataset}/statistics/fragility_pairs.parquet",
        pairs_tsv="results/{dataset}/statistics/fragility_pairs.tsv",
    log:
        "logs/{dataset}/fragility.log",
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(60),
    params:
        **plan.params("fragility"),
    script:
        "../scripts/fragility.py"


rule dimension:
    input:
        own=plan.each("attack_maps", rules.attack_maps.output[0]),
        coarser=plan.coarser("attack_maps", rules.attack_maps.output[0]),
    output:
        parquet="results/{dataset}/statistics/dimension.parquet",
        tsv="results/{dataset}/statistics/dimension.tsv",
    log:
        "logs/{dataset}/dimension.log",
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.params("dimension"),
    script:
        "../scripts/dimension.py"


rule figure_fragility:
    input:
        dimension=plan.each("dimension", rules.dimension.output.parquet),
        summary=rules.fragility.output.parquet,
        pairs=rules.fragility.output.pairs,
        grid=rules.grid.output[0],
        attacked=plan.each("attack_maps", rules.attack_maps.output[0], "attacked"),
        example=plan.each("attack_maps", rules.attack_maps.output.example, "attacked"),
        assets=assets,
    output:
        report(
            "results/{dataset}/figures/fragility-spearman.png",
            caption="../report/fragility-figure.rst",
            category="{dataset}",
            labels={"what": "attacked maps, rank correlation"},
        ),
        report(
            "results/{dataset}/figures/fragility-top_k.png",
            caption="../report/fragility-figure.rst",
            category="{dataset}",
            labels={"what": "attacked maps, largest voxels"},
        ),
        report(
            "results/{dataset}/figures/fragility-shift.png",
            caption="../report/fragility-figure.rst",
            category="{dataset}",
            labels={"what": "attacked maps, centre of mass"},
        ),
        report(
            "results/{dataset}/figures/fragility-truth.png",
            caption="../report/fragility-figure.rst",
            category="{dataset}",
            labels={"what": "attacked maps, agreement with truth"},
        ),
        report(
            "results/{dataset}/figures/fragility-maps.png",
            caption="../report/fragility-maps.rst",
            category="{dataset}",
            labels={"what": "attacked maps, before and after"},
        ),
        "results/{dataset}/figures/fragility-maps.svg",
        "results/{dataset}/figures/fragility-maps.tsv",
        "results/{dataset}/figures/fragility-spearman.svg",
        "results/{dataset}/figures/fragility-top_k.svg",
        "results/{dataset}/figures/fragility-shift.svg",
        "results/{dataset}/figures/fragility-truth.svg",
        tsv="results/{dataset}/figures/fragility.tsv",
        answers="results/{dataset}/statistics/fragility_answers.tsv",
        page=report(
            "results/{dataset}/figures/fragility.html",
            caption="../report/fragility-answers.rst",
            category="{dataset}",
            labels={"what": "attacked maps, in words"},
        ),
    log:
        "logs/{dataset}/figure-fragility.log",
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.params("figure_fragility"),
    script:
        "../scripts/figure_fragility.py"
