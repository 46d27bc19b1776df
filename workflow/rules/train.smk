# Candidates, one job each; then the winner, calibrated.


rule train:
    input:
        train_maps=plan.volume_files("train", "npy"),
        train_tables=plan.volume_files("train", "parquet"),
        validation_maps=plan.volume_files("validation", "npy"),
        validation_tables=plan.volume_files("validation", "parquet"),
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
        **plan.code("train"),
        **plan.methods("train", "networks", "training"),
        **plan.settings("train"),
    script:
        "../scripts/train.py"


rule model:
    input:
        weights=plan.candidate_files("weights.safetensors"),
        validation=plan.candidate_files("validation.json"),
        validation_maps=plan.volume_files("validation", "npy"),
        validation_tables=plan.volume_files("validation", "parquet"),
        test_maps=plan.volume_files("test", "npy"),
        test_tables=plan.volume_files("test", "parquet"),
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
        **plan.code("model"),
        **plan.methods("model", "networks"),
        **plan.settings("model"),
    script:
        "../scripts/model.py"
