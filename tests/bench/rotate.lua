-- wrk: POST for the devices in turn, so that no lookup is for the last one

local devices = tonumber(os.getenv("DEVICES"))
local n = 0
local path = "/Microsoft-Server-ActiveSync?Cmd=Sync&User=u@example.com"
             .. "&DeviceId=%032d&DeviceType=iPhone"

local headers = {
    ["Host"] = "mail.example.com",
    ["User-Agent"] = "Apple-iPhone14C2/1907.60",
    ["MS-ASProtocolVersion"] = "16.1",
    ["X-MS-PolicyKey"] = "123456",
    ["Content-Type"] = "application/vnd.ms-sync.wbxml",
    ["Authorization"] = "Basic dTpw",
    ["Content-Length"] = "0"
}

function request()
    n = (n + 7919) % devices
    return wrk.format("POST", path:format(n), headers)
end
