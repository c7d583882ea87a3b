-- The peer in Lua: two commands over a pooled cosocket for each request, as
-- lua-resty-redis does it (which Debian 12 does not package), with a decoder
-- for just these replies.

local tcp, exit = ngx.socket.tcp, ngx.exit
local format = string.format

local function line(sock)
    local text, err = sock:receive("*l")
    if not text then
        return nil, err
    end
    local kind, rest = text:sub(1, 1), text:sub(2)
    if kind ~= "$" then
        return rest
    end
    if rest == "-1" then
        return false
    end
    local data = sock:receive(tonumber(rest))
    sock:receive(2)
    return data
end

return function(path)
    local id = ngx.var.arg_DeviceId
    if not id then
        return exit(403)
    end

    local sock = tcp()
    sock:settimeout(200)
    if not sock:connect("unix:" .. path) then
        return exit(503)
    end

    local key = "mtd:alias:eas:" .. id:lower()
    sock:send(format("*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", #key, key))

    local device = line(sock)
    if not device then
        sock:setkeepalive(10000, 64)
        return exit(403)
    end

    key = "mtd:device:" .. device
    sock:send(format("*4\r\n$5\r\nHMGET\r\n$%d\r\n%s\r\n$6\r\nthreat\r\n"
                     .. "$10\r\ncompliance\r\n", #key, key))

    sock:receive("*l")
    local threat, compliance = line(sock), line(sock)
    sock:setkeepalive(10000, 64)

    if (threat ~= "secured" and threat ~= "lowSeverity")
        or compliance ~= "compliant"
    then
        return exit(403)
    end
end
