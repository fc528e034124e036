{#-
Exactly the records of the newest batch that is done are staged with it: the vectors are read here
from the ends of that batch and of the one before, not from its literals.

Left out rightly: tombstones, and what has been staged before by its event_id or identity.

Args:
    source_table: The landing table.
    topic: Its topic.
    staged: Which rows of the model are records of that table.
-#}
{% test stages_its_batch(model, source_table, topic, staged='true') %}

with

done as (
    select * from {{ source('control', 'batches') }}
    where state = 'done'
    order by batch_id desc
    limit 1
),

ends as (
    select
        done.batch_id,
        ends.epoch,
        ends."partition",
        coalesce(starts."offset", 0) as start_offset,
        ends."offset" as end_offset,
        coalesce(before.to_redrive, 0) as from_redrive,
        done.to_redrive
    from done
    cross join lateral jsonb_to_recordset(done.to_offsets) as ends (
        topic text, epoch integer, "partition" integer, "offset" bigint
    )
    left join {{ source('control', 'batches') }} as before on before.batch_id = done.batch_id - 1
    left join lateral jsonb_to_recordset(before.to_offsets) as starts (
        topic text, epoch integer, "partition" integer, "offset" bigint
    )
        on
            starts.topic = ends.topic
            and starts.epoch = ends.epoch
            and starts."partition" = ends."partition"
    where ends.topic = '{{ topic }}'
),

wanted as (
    select records.epoch, records."partition", records."offset", records.payload
    from ends
    inner join {{ source('landing', source_table) }} as records
        on
            ends.epoch = records.epoch
            and ends."partition" = records."partition"
            and records."offset" >= ends.start_offset
            and records."offset" < ends.end_offset
    where coalesce(records.redrive, 0) <= ends.to_redrive
    union all
    select records.epoch, records."partition", records."offset", records.payload
    from ends
    inner join {{ source('landing', source_table) }} as records
        on
            records.redrive > ends.from_redrive
            and records.redrive <= ends.to_redrive
            and ends.epoch = records.epoch
            and ends."partition" = records."partition"
            and records."offset" < ends.start_offset
),

missing as (
    select 'missing' as fault, wanted.epoch, wanted."partition", wanted."offset"
    from wanted
    where
        wanted.payload is not null
        and not exists (
            select 1 from {{ model }} as same
            where
                same.epoch = wanted.epoch
                and same."partition" = wanted."partition"
                and same."offset" = wanted."offset"
        )
        and not exists (
            select 1 from {{ model }} as earlier
            where
                earlier."partition" = wanted."partition"
                and earlier.event_id = wanted.payload ->> 'event_id'
        )
),

foreign_ones as (
    select 'foreign' as fault, staged.epoch, staged."partition", staged."offset"
    from {{ model }} as staged
    inner join done on done.batch_id = staged.batch_id
    where
        {{ staged }}
        and not exists (
            select 1 from wanted
            where
                wanted.epoch = staged.epoch
                and wanted."partition" = staged."partition"
                and wanted."offset" = staged."offset"
        )
)

select * from missing
union all
select * from foreign_ones
{% endtest %}
