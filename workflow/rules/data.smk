# From what there is to z-scored volumes and ground truth.


rule simulate:
    input:
        peaks=plan.simulation_file("peaks"),
        components=plan.simulation_file("components"),
    output:
        "results/{dataset}/tree/of-{shards}/shard-{shard}.tsv",
    log:
        "logs/{dataset}/simulate-{shard}-of-{shards}.log",
    benchmark:
        "results/benchmarks/{dataset}/simulate-{shard}-of-{shards}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(120),
    params:
        **plan.record("simulate"),
        **plan.code("simulate"),
        **plan.settings("simulate"),
    script:
        "../scripts/simulate.py"


rule samples:
    input:
        plan.tree_files,
        plan.sheet_file,
        plan.family_file,
        plan.salt_file,
    output:
        samples="results/{dataset}/samples.tsv",
        images="private/{dataset}/images.tsv",
        skipped="results/{dataset}/skipped.tsv",
    log:
        "logs/{dataset}/samples.log",
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.record("samples"),
        **plan.code("samples"),
        **plan.methods("samples", "datasets"),
        **plan.settings("samples"),
    script:
        "../scripts/samples.py"


rule grid:
    input:
        plan.mask_file,
        plan.tree_files,
        samples="results/{dataset}/samples.tsv",
        images="private/{dataset}/images.tsv",
    output:
        "results/{dataset}/volumes/mask.nii.gz",
    log:
        "logs/{dataset}/grid.log",
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.record("grid"),
        **plan.code("grid"),
        **plan.methods("grid", "datasets"),
        **plan.settings("grid"),
    script:
        "../scripts/grid.py"


# Words of the config that only the data know: first of what can run, as all stops where one is wrong. Nothing reads it:
# what does would be made again for a word that it does not use, and with `ancient` Snakemake looks for no other reason to
# run what comes after.
rule words:
    input:
        samples="results/{dataset}/samples.tsv",
        grid="results/{dataset}/volumes/mask.nii.gz",
    output:
        "results/{dataset}/words.txt",
    log:
        "logs/{dataset}/words.log",
    priority: 100
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=scaled(500),
        runtime=scaled(30),
    params:
        **plan.record("words"),
        **plan.code("words"),
        **plan.settings("words"),
    script:
        "../scripts/words.py"


rule volumes:
    input:
        plan.tree_files,
        plan.salt_file,
        samples="results/{dataset}/samples.tsv",
        images="private/{dataset}/images.tsv",
        grid="results/{dataset}/volumes/mask.nii.gz",
    output:
        maps="results/{dataset}/volumes/{split}/{shard}.npy",
        table="results/{dataset}/volumes/{split}/{shard}.parquet",
        skipped="results/{dataset}/volumes/{split}/{shard}.skipped.tsv",
    log:
        "logs/{dataset}/volumes-{split}-{shard}.log",
    benchmark:
        "results/benchmarks/{dataset}/volumes-{split}-{shard}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(120),
    params:
        **plan.record("volumes"),
        **plan.code("volumes"),
        **plan.methods("volumes", "datasets"),
        **plan.settings("volumes"),
    script:
        "../scripts/volumes.py"


rule quality:
    input:
        maps=plan.all_volume_files("npy"),
        tables=plan.all_volume_files("parquet"),
        skipped=plan.all_volume_files("skipped.tsv"),
        incomplete="results/{dataset}/skipped.tsv",
        grid="results/{dataset}/volumes/mask.nii.gz",
    output:
        tsv="results/{dataset}/quality.tsv",
        html=report(
            "results/{dataset}/quality.html",
            caption="../report/quality.rst",
            category="{dataset}",
            labels={"what": "quality of the maps"},
        ),
    log:
        "logs/{dataset}/quality.log",
    benchmark:
        "results/benchmarks/{dataset}/quality.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(120),
    params:
        **plan.record("quality"),
        **plan.code("quality"),
        **plan.methods("quality", "datasets"),
        **plan.settings("quality"),
    script:
        "../scripts/quality.py"


rule truth:
    input:
        maps=plan.volume_files("test", "npy"),
        tables=plan.volume_files("test", "parquet"),
    output:
        "results/{dataset}/truth/class_means.parquet",
    log:
        "logs/{dataset}/truth.log",
    benchmark:
        "results/benchmarks/{dataset}/truth.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(60),
    params:
        **plan.record("truth"),
        **plan.code("truth"),
        **plan.methods("truth", "datasets"),
        **plan.settings("truth"),
    script:
        "../scripts/truth.py"


rule background:
    input:
        maps=plan.volume_files("train", "npy"),
        tables=plan.volume_files("train", "parquet"),
    output:
        "results/{dataset}/truth/background.parquet",
    log:
        "logs/{dataset}/background.log",
    benchmark:
        "results/benchmarks/{dataset}/background.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(60),
    params:
        **plan.record("background"),
        **plan.code("background"),
        settings={"chosen": []},
    script:
        "../scripts/background.py"


# By itself, so that a list of conditions makes no saliency map again.
rule background_chosen:
    input:
        maps=plan.volume_files("train", "npy"),
        tables=plan.volume_files("train", "parquet"),
    output:
        "results/{dataset}/truth/background-chosen.parquet",
    log:
        "logs/{dataset}/background-chosen.log",
    benchmark:
        "results/benchmarks/{dataset}/background-chosen.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(60),
    params:
        **plan.record("background_chosen"),
        **plan.code("background"),
        **plan.settings("background_chosen"),
    script:
        "../scripts/background.py"
