{#-
A predicate: the subject, or its device's site, was in planned work of that mode at that instant.

As-of: the versions of the plan and of the registry that were valid then. A window is in the work if it
ends after the work's start and not after its end. Of what recurs, every time is a row of its own.
-#}
{% macro in_maintenance(mode, subject_kind, subject, us) -%}
    exists (
        select 1
        from {{ source('reference', 'maintenance_occurrences') }} as work
        where
            work.mode = '{{ mode }}'
            and work.starts_at < {{ to_timestamp(us) }}
            and work.ends_at >= {{ to_timestamp(us) }}
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
