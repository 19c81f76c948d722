#!/usr/bin/env bash
# From a run folder to a filtered, annotated panel as one would script it by hand: the same tools on the same reads,
# one JVM per GATK call, as many samples (then intervals) at a time as there are slots. No retries, no checkpoints.
#
#   bare_demo.sh reads    FASTQs  -> a CRAM and a gVCF per sample
#   bare_demo.sh panel    gVCFs   -> a VCF per contig
#
# Environment:
#   RUN        run folder            REF   FASTA with .fai, .dict and bwa's index      GFF  gene model
#   PLAN       folder of call-*.bed (one calling part each), whole.bed and joint.tsv (number, contig, start, end)
#   OUT        where everything is written                    SLOTS  processes at a time
#   SAMPLES    sample names, separated by blanks
#   JAVA, GATK_JARS (a class path), GATK_FLAGS, HEAP_MB, HEAP_JOINT_MB
#   BWA, SAMTOOLS, BCFTOOLS, TABIX    the programs; may be several words
set -euo pipefail
export LC_ALL=C

: "${BWA:=bwa}" "${SAMTOOLS:=samtools}" "${BCFTOOLS:=bcftools}" "${TABIX:=tabix}"
export BWA SAMTOOLS BCFTOOLS TABIX
FLOWCELL=$(basename "$RUN" | sed 's/.*_[AB]//')
export FLOWCELL
QUIET="--QUIET true --verbosity WARNING --add-output-vcf-command-line false --create-output-variant-md5 false"
export QUIET

gatk() {
  local heap=$1
  shift
  # shellcheck disable=SC2086
  "$JAVA" "-Xmx${heap}m" $GATK_FLAGS -cp "$GATK_JARS" org.broadinstitute.hellbender.Main "$@" >&2
}

sample() {
  local name=$1 dir=$OUT/$1 r1 lane rg part parts=() lanes=() n=0 bands=() band
  mkdir -p "$dir"
  exec 2>"$dir/log"
  for r1 in "$RUN"/Data/Intensities/BaseCalls/*/"${name}"_S*_R1_001.fastq.gz; do
    lane=$(sed -E 's/.*_L0*([0-9]+)_R1_.*/\1/' <<<"$r1")
    rg="@RG\tID:$FLOWCELL.$lane\tPU:$FLOWCELL.$lane\tLB:$name-LIB1\tSM:$name\tPL:ILLUMINA"
    $BWA mem -K 100000000 -R "$rg" "$REF" "$r1" "${r1/_R1_001/_R2_001}" |
      $SAMTOOLS sort -l 1 -T "$dir/sort-$lane" -o "$dir/lane-$lane.bam" -
    lanes+=(--INPUT "$dir/lane-$lane.bam")
  done
  gatk "$HEAP_MB" MarkDuplicates "${lanes[@]}" --OUTPUT "$dir/marked.bam" --METRICS_FILE "$dir/duplicates.txt" \
    --REFERENCE_SEQUENCE "$REF" --ASSUME_SORT_ORDER coordinate --OPTICAL_DUPLICATE_PIXEL_DISTANCE 2500 \
    --VALIDATION_STRINGENCY SILENT --COMPRESSION_LEVEL 0 --ADD_PG_TAG_TO_READS false --TMP_DIR "$dir"
  $SAMTOOLS view -C --output-fmt-option version=3.0 --reference "$REF" -o "$dir/$name.cram" "$dir/marked.bam"
  $SAMTOOLS index "$dir/$name.cram"
  $SAMTOOLS stats --reference "$REF" "$dir/$name.cram" >"$dir/stats.txt"
  $SAMTOOLS bedcov --reference "$REF" "$PLAN/whole.bed" "$dir/$name.cram" >"$dir/depth.txt"
  rm "$dir/marked.bam"
  for band in $(seq 1 60) 70 80 90 99; do bands+=(-GQB "$band"); done
  for part in "$PLAN"/call-*.bed; do
    n=$((n + 1))
    gatk "$HEAP_MB" HaplotypeCaller -R "$REF" -I "$dir/$name.cram" -O "$dir/part-$n.g.vcf.gz" -L "$part" \
      -ERC GVCF -ploidy 2 --min-base-quality-score 10 "${bands[@]}" --native-pair-hmm-threads 1 \
      --create-output-variant-index false --add-output-vcf-command-line false --tmp-dir "$dir"
    parts+=("$dir/part-$n.g.vcf.gz")
  done
  $BCFTOOLS concat --naive -o "$dir/$name.g.vcf.gz" "${parts[@]}"
  $TABIX -f -p vcf "$dir/$name.g.vcf.gz"
}

# GATK's hard filters of SNPs and of all else, in one pass
SNP='(vc.isSNP() || vc.isMNP())'
HARD=()
hard() { HARD+=(--filter-name "$1" --filter-expression "$2"); }
hard SNP_QD2 "$SNP && QD < 2.0"
hard SNP_FS60 "$SNP && FS > 60.0"
hard SNP_MQ40 "$SNP && MQ < 40.0"
hard SNP_SOR3 "$SNP && SOR > 3.0"
hard SNP_MQRankSum-12.5 "$SNP && MQRankSum < -12.5"
hard SNP_ReadPosRankSum-8 "$SNP && ReadPosRankSum < -8.0"
hard INDEL_QD2 "!$SNP && QD < 2.0"
hard INDEL_FS200 "!$SNP && FS > 200.0"
hard INDEL_ReadPosRankSum-20 "!$SNP && ReadPosRankSum < -20.0"

interval() {
  local number=$1 contig=$2 start=$3 end=$4 dir=$OUT/interval-$1 from
  mkdir -p "$dir"
  exec 2>"$dir/log"
  # a margin, so that a deletion in front of the edge is seen
  from=$((start > 1000 ? start - 1000 : 1))
  # shellcheck disable=SC2086
  {
    gatk "$HEAP_JOINT_MB" GenomicsDBImport --genomicsdb-workspace-path "$dir/db" --sample-name-map "$OUT/samples.map" \
      --intervals "$contig:$from-$end" --batch-size 50 --tmp-dir "$dir" $QUIET
    gatk "$HEAP_JOINT_MB" GenotypeGVCFs --reference "$REF" --variant "gendb://$dir/db" --intervals "$contig:$from-$end" \
      --output "$dir/called.vcf.gz" --create-output-variant-index false \
      --only-output-calls-starting-in-intervals true --tmp-dir "$dir" $QUIET
    $BCFTOOLS view -t "$contig:$start-$end" -Oz -o "$dir/own.vcf.gz" "$dir/called.vcf.gz"
    $TABIX -p vcf "$dir/own.vcf.gz"
    gatk "$HEAP_MB" VariantFiltration --variant "$dir/own.vcf.gz" --output "$dir/filtered.vcf.gz" \
      --create-output-variant-index false "${HARD[@]}" --tmp-dir "$dir" $QUIET
  }
  $BCFTOOLS csq --local-csq --trim-protein-seq 1 --force --fasta-ref "$REF" --gff-annot "$GFF" \
    -Oz -o "$dir/annotated.vcf.gz" "$dir/filtered.vcf.gz"
}

# runs one line of arguments as `sample NAME` or `interval NUMBER CONTIG START END`, as xargs calls it below
if [[ $1 == one ]]; then
  shift
  "$@"
  exit
fi

case $1 in
  reads)
    tr ' ' '\n' <<<"$SAMPLES" | xargs -P "$SLOTS" -L 1 "$0" one sample
    ;;
  panel)
    for name in $(tr ' ' '\n' <<<"$SAMPLES" | sort); do
      printf '%s\t%s\n' "$name" "$OUT/$name/$name.g.vcf.gz"
    done >"$OUT/samples.map"
    xargs -P "$SLOTS" -L 1 "$0" one interval <"$PLAN/joint.tsv"
    for contig in $(cut -f 2 "$PLAN/joint.tsv" | uniq); do
      parts=()
      while read -r number _; do parts+=("$OUT/interval-$number/annotated.vcf.gz"); done \
        < <(awk -v contig="$contig" '$2 == contig' "$PLAN/joint.tsv")
      $BCFTOOLS concat -Oz -o "$OUT/panel-$contig.vcf.gz" "${parts[@]}" 2>>"$OUT/log"
      $TABIX -f -p vcf "$OUT/panel-$contig.vcf.gz"
      $BCFTOOLS stats -s - "$OUT/panel-$contig.vcf.gz" >"$OUT/panel-$contig.stats"
    done
    ;;
  *)
    echo "usage: $0 reads|panel" >&2
    exit 2
    ;;
esac
