{#-
A predicate: the subject, or its device's site, was in planned work of that mode at that instant.

As-of: the versions of the plan and of the registry that were valid then. A window is in the work if it
ends after the work's start and not after its end. Of a plan only the latest occurrence that has begun
can hold the instant (each ends no earlier than the one before): one probe, however often it recurs.
-#}
{% macro in_maintenance(mode, subject_kind, subject, us) -%}
    exists (
        select 1
        from {{ source('reference', 'maintenance') }} as work
        cross join lateral (
            select occurrence.ends_at
            from {{ source('reference', 'maintenance_occurrences') }} as occurrence
            where
                occurrence.scope = work.scope
                and occurrence.subject = work.subject
                and occurrence.mode = work.mode
                and occurrence.planned_from = work.starts_at
                and occurrence.valid_from = work.valid_from
                and occurrence.starts_at < {{ to_timestamp(us) }}
            order by occurrence.starts_at desc
            limit 1
        ) as latest
        where
            work.mode = '{{ mode }}'
            and latest.ends_at >= {{ to_timestamp(us) }}
            and {{ valid_at('work', us) }}
            and (
                (work.scope = {{ subject_kind }} and work.subject = {{ subject }})
                or (
                    work.scope = 'site' and {{ subject_kind }} = 'device'
                    and work.subject = (
                        select registered.site_id from {{ source('reference', 'devices') }} as registered
                        where
                            registered.device_id = {{ subject }}
                            and {{ valid_at('registered', us) }}
                    )
                )
            )
    )
{%- endmacro %}
