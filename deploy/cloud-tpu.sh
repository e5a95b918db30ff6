#!/bin/bash
# One `bench run` over all hosts of a Cloud TPU slice: docs/clusters.md#cloud-tpu. With a clone in toynet-bench on each:
# deploy/cloud-tpu.sh NAME ZONE --workloads wide --modes data_parallel,fsdp
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 NAME ZONE [flags of python -m bench run]" >&2
    exit 2
fi
name=$1 zone=$2
shift 2
# All at once: none of a slice's chips starts before all of its hosts have come.
gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all \
    --command="cd toynet-bench && .venv/bin/python -m bench run --distributed auto${*:+$(printf ' %q' "$@")}"
