# Candidates, one job each; then the winner, or a network that was trained elsewhere, calibrated.


# What models will cost, in words: first of what can run, so that it is said before any trains. Nothing reads it.
rule networks:
    input:
        samples=rules.samples.output.samples,
        grid=rules.grid.output[0],
        regions=plan.every({"regions": [rules.regions.output.image, rules.regions.output.table]}),
        trained=plan.trained,
    output:
        "results/{dataset}/networks.tsv",
    log:
        "logs/{dataset}/networks.log",
    priority: 100
    conda:
        "../../envs/torch.yaml"
    threads: plan.config.threads
    resources:
        gpu=plan.gpus,
        mem_mb=scaled(4000),
        runtime=scaled(60),
    params:
        **plan.params("networks"),
    script:
        "../scripts/networks.py"


rule train:
    input:
        train_maps=plan.each("volumes", rules.volumes.output.maps, split="train"),
        train_tables=plan.each("volumes", rules.volumes.output.table, split="train"),
        validation_maps=plan.each("volumes", rules.volumes.output.maps, split="validation"),
        validation_tables=plan.each("volumes", rules.volumes.output.table, split="validation"),
    output:
        weights="results/{dataset}/candidates/{model}/seed-{seed}/{candidate}/weights.safetensors",
        history="results/{dataset}/candidates/{model}/seed-{seed}/{candidate}/history.parquet",
        validation="results/{dataset}/candidates/{model}/seed-{seed}/{candidate}/validation.json",
    log:
        "logs/{dataset}/train-{model}-{seed}-{candidate}.log",
    benchmark:
        "results/benchmarks/{dataset}/train-{model}-{seed}-{candidate}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: plan.config.threads
    resources:
        gpu=plan.gpus,
        mem_mb=scaled(4000),
        runtime=scaled(720),
    params:
        **plan.params("train"),
        # No output, as Snakemake deletes those of a job that fails.
        checkpoint="results/{dataset}/.checkpoints/{model}/seed-{seed}/{candidate}.safetensors",
    script:
        "../scripts/train.py"


rule model:
    input:
        weights=plan.candidates(rules.train.output.weights),
        validation=plan.candidates(rules.train.output.validation),
        trained=plan.trained,
        planted=plan.planted(rules.regions.output.image, rules.regions.output.table, *rules.background.output),
        grid=rules.grid.output[0],
        validation_maps=plan.each("volumes", rules.volumes.output.maps, split="validation"),
        validation_tables=plan.each("volumes", rules.volumes.output.table, split="validation"),
        test_maps=plan.each("volumes", rules.volumes.output.maps, split="test"),
        test_tables=plan.each("volumes", rules.volumes.output.table, split="test"),
    output:
        weights="results/{dataset}/models/{model}/seed-{seed}/weights.safetensors",
        description="results/{dataset}/models/{model}/seed-{seed}/model.json",
        predictions="results/{dataset}/models/{model}/seed-{seed}/predictions.parquet",
    log:
        "logs/{dataset}/model-{model}-{seed}.log",
    benchmark:
        "results/benchmarks/{dataset}/model-{model}-{seed}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: plan.config.threads
    resources:
        gpu=plan.gpus,
        mem_mb=scaled(4000),
        runtime=scaled(60),
    params:
        **plan.params("model"),
    script:
        "../scripts/model.py"


# The same network on permuted labels, for metrics that compare with one.
rule permute:
    input:
        description=rules.model.output.description,
        train_maps=plan.each("volumes", rules.volumes.output.maps, split="train"),
        train_tables=plan.each("volumes", rules.volumes.output.table, split="train"),
        test_maps=plan.each("volumes", rules.volumes.output.maps, split="test"),
        test_tables=plan.each("volumes", rules.volumes.output.table, split="test"),
    output:
        weights="results/{dataset}/permuted/{model}/seed-{seed}/{metric}/weights.safetensors",
        description="results/{dataset}/permuted/{model}/seed-{seed}/{metric}/model.json",
    log:
        "logs/{dataset}/permute-{model}-{seed}-{metric}.log",
    benchmark:
        "results/benchmarks/{dataset}/permute-{model}-{seed}-{metric}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: plan.config.threads
    resources:
        gpu=plan.gpus,
        mem_mb=scaled(4000),
        runtime=scaled(720),
    params:
        **plan.params("permute"),
        # As of `train`.
        checkpoint="results/{dataset}/.checkpoints/permuted/{model}/seed-{seed}/{metric}.safetensors",
    script:
        "../scripts/permute.py"
