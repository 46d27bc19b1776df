# Remove and retrain: networks without the voxels that their maps call important.


rule rank:
    input:
        weights=rules.model.output.weights,
        description=rules.model.output.description,
        grid=rules.grid.output[0],
        background=rules.background.output[0],
        train_maps=plan.each("volumes", rules.volumes.output.maps, split="train"),
        train_tables=plan.each("volumes", rules.volumes.output.table, split="train"),
        test_maps=plan.each("volumes", rules.volumes.output.maps, split="test"),
        test_tables=plan.each("volumes", rules.volumes.output.table, split="test"),
    output:
        "results/{dataset}/roar/{model}/seed-{seed}/{method}.safetensors",
    log:
        "logs/{dataset}/rank-{model}-{seed}-{method}.log",
    benchmark:
        "results/benchmarks/{dataset}/rank-{model}-{seed}-{method}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: plan.config.threads
    resources:
        gpu=plan.gpus,
        mem_mb=scaled(4000),
        runtime=scaled(240),
    params:
        **plan.params("rank"),
    script:
        "../scripts/rank.py"


rule retrain:
    input:
        description=rules.model.output.description,
        order=plan.ranking(rules.rank.output[0]),
        grid=rules.grid.output[0],
        background=rules.background.output[0],
        train_maps=plan.each("volumes", rules.volumes.output.maps, split="train"),
        train_tables=plan.each("volumes", rules.volumes.output.table, split="train"),
        test_maps=plan.each("volumes", rules.volumes.output.maps, split="test"),
        test_tables=plan.each("volumes", rules.volumes.output.table, split="test"),
    output:
        "results/{dataset}/roar/{model}/seed-{seed}/{order}/{fraction}.parquet",
    log:
        "logs/{dataset}/retrain-{model}-{seed}-{order}-{fraction}.log",
    benchmark:
        "results/benchmarks/{dataset}/retrain-{model}-{seed}-{order}-{fraction}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: plan.config.threads
    resources:
        gpu=plan.gpus,
        mem_mb=scaled(4000),
        runtime=scaled(720),
    params:
        **plan.params("retrain"),
        # As of `train`.
        checkpoint="results/{dataset}/.checkpoints/roar/{model}/seed-{seed}/{order}/{fraction}.safetensors",
    script:
        "../scripts/retrain.py"


rule roar:
    input:
        plan.each("retrain", rules.retrain.output[0]),
    output:
        "results/{dataset}/statistics/roar.parquet",
        "results/{dataset}/statistics/roar.tsv",
    log:
        "logs/{dataset}/roar.log",
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.params("roar"),
    script:
        "../scripts/roar.py"
