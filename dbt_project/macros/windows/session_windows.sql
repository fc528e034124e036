{#-
Session(T, M): each event with its session, which ends T after its last event, or earlier at a cut.

A gap of exactly T stays in. A session is cut at the first multiple of M at which it has lasted M, and
goes on from there in a new one, so all later multiples of M are cuts too. An event on a cut belongs
to the session that ends there. The start is that of the first event, inclusive, or the cut before.

No recursion: the events without a gap above T between them (a run) are found by one sort, and what
remains is arithmetic on the run's start and end. Rows: those of `relation`, with window_start_us,
window_end_us, and run_opens, run_start_us and run_last_us, from which these follow.

    select device_id, window_end_us, count(*)
    from ({{ session_windows('vends', seconds(300), seconds(3600), 'device_id') }}) as windowed
    group by device_id, window_end_us

Args:
    relation: Events; a relation, a CTE's name, or a query in parentheses.
    timeout_us: T.
    longest_us: M.
    key: Columns that sessions are apart by (OVER (PARTITION BY …)); none: one session for all keys,
        also where the query groups by one.
    us: The column of event time.
-#}
{% macro session_windows(relation, timeout_us, longest_us, key=none, us='us') -%}
    {%- set timeout_us = checked_us('timeout of a session window', timeout_us) -%}
    {%- set longest_us = checked_us('maximum duration of a session window', longest_us) -%}
    {%- set first_cut = window_end('(run_start_us + ' ~ longest_us ~ ')', longest_us) -%}
    {%- set own_cut = window_end(us, longest_us) -%}
    select
        runs.*,
        case
            when {{ own_cut }} <= {{ first_cut }} then run_start_us
            else {{ own_cut }} - {{ longest_us }}
        end as window_start_us,
        least(greatest({{ own_cut }}, {{ first_cut }}), run_last_us + {{ timeout_us }}) as window_end_us
    from (
        select
            opened.*,
            max({{ us }}) over (partition by {% if key %}{{ key }}, {% endif %}run_start_us) as run_last_us
        from (
            select
                gaps.*,
                max({{ us }}) filter (where run_opens)
                    over ({% if key %}partition by {{ key }} {% endif %}order by {{ us }}) as run_start_us
            from (
                select
                    events.*,
                    ({{ us }} - lag({{ us }}) over ({% if key %}partition by {{ key }} {% endif %}order by {{ us }})
                    <= {{ timeout_us }}) is not true as run_opens
                from {{ relation }} as events
            ) as gaps
        ) as opened
    ) as runs
{%- endmacro %}
