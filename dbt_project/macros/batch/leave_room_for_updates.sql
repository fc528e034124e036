{#- Rows that are updated again and again are updated in their own page. Set once: it takes a lock. -#}
{% macro leave_room_for_updates() %}
    do $$
    begin
        if (select reloptions from pg_catalog.pg_class where oid = '{{ this }}'::regclass) is null then
            alter table {{ this }} set (fillfactor = 50);
        end if;
    end
    $$
{% endmacro %}
